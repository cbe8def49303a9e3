package glaux;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.spark.SparkConf;
import org.slf4j.LoggerFactory;
import scala.Console$;

/**
 * The cells of a session whose language is Scala. The Python runner takes them and hands them over; what they print and the values
 * they show go to this process's standard output, which the shim gives to the cell.
 *
 * <p>Nothing of the compiler is loaded in other sessions.
 */
public final class ScalaCells {
    /** How long a cell may take to end once its jobs are cancelled, before its thread is interrupted; and then, before it is stopped; milliseconds. */
    private static final long JOBS_END = 100;
    private static final long REACTS = 1000;
    /** How long the compiler is left alone: the cell ends once it is done. */
    private static final long COMPILED = 2500;

    private static final CompletableFuture<ScalaInterpreter> STARTED = new CompletableFuture<>();

    /** The threads of cells, and those that they start. */
    private static final ThreadGroup CELLS = new ThreadGroup("glaux-scala");

    // Guarded by the class.
    private static Cell running;
    private static String cancelled = "";

    private ScalaCells() {}

    private static View view; // set before the session has a context

    /** Says whether the session's cells are Scala. */
    static boolean wanted() {
        return "scala".equals(System.getProperty("glaux.language"));
    }

    /**
     * Prepares a session before it has a context: tasks load the classes of cells from a directory that the context serves, and
     * every thread from here on finds them through its context class loader.
     */
    static void prepare(SparkConf conf) throws IOException {
        Path classes = Files.createTempDirectory("glaux-scala-");
        conf.set("spark.repl.class.outputDir", classes.toString());
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        LoggerFactory.getLogger(ScalaCells.class); // Spark's log keeps the standard error that it finds
        System.setErr(new PrintStream(new ErrorStream(System.err), true, StandardCharsets.UTF_8));
        view = new View(Thread.currentThread().getContextClassLoader());
        Thread.currentThread().setContextClassLoader(view);
    }

    /** Starts the interpreter beside the context. The class path is settled. */
    static void start(SparkConf conf, JarLoader loader) {
        String classes = conf.get("spark.repl.class.outputDir");
        Thread starter = new Thread(() -> {
            try {
                ScalaInterpreter made = new ScalaInterpreter(classes, loader);
                view.cells = made.classLoader();
                Thread.currentThread().setContextClassLoader(made.classLoader());
                made.warmUp();
                Driver.session();
                made.bind();
                STARTED.complete(made);
            } catch (Throwable failed) {
                STARTED.completeExceptionally(failed);
            }
        }, "glaux-scala-start");
        starter.setDaemon(true);
        starter.start();
    }

    /** Compiles a few cells in a session of another language, for the start-up archive. */
    public static void train() throws IOException {
        ScalaInterpreter interpreter = new ScalaInterpreter(Files.createTempDirectory("glaux-scala-").toString(), (JarLoader) Thread.currentThread().getContextClassLoader());
        interpreter.warmUp();
        interpreter.bind();
        String[] cells = {
            "case class Trained(name: String, n: Int)\nobject Trained { def one = Trained(\"one\", 1) }\nval some = Seq(Trained.one).toDS\nsome.map(_.n + 1).schema",
            "val plus = udf((n: Long) => n + 1)\nval df = spark.range(3).withColumn(\"m\", plus($\"id\"))\nsql(\"select 1\").show()\nfor (n <- 1 to 2) println(n)",
            "no such name",
            "def f(n: Int): Int = n / 0\nf(1)",
        };
        for (String cell : cells) {
            interpreter.run(cell, () -> false);
        }
    }

    /** Blocks until cells can run; for the runner. */
    public static void ready() throws Exception {
        try {
            STARTED.get();
        } catch (ExecutionException failed) {
            throw new IllegalStateException("the Scala interpreter cannot start: " + StartFailure.text(failed.getCause()), failed.getCause());
        }
    }

    /** Runs a cell to its end and returns what became of it, a JSON object; for the runner. */
    public static String run(String id, String code) throws Exception {
        ScalaInterpreter interpreter = STARTED.get();
        Cell cell = new Cell(id, code, interpreter);
        synchronized (ScalaCells.class) {
            if (id.equals(cancelled)) {
                return cell.outcome(ScalaInterpreter.Failure.interrupt());
            }
            running = cell;
        }
        cell.start();
        while (cell.isAlive()) {
            try {
                cell.join();
            } catch (InterruptedException notOurs) {
                Thread.interrupted();
            }
        }
        synchronized (ScalaCells.class) {
            running = null;
        }
        System.out.flush();
        return cell.outcome(cell.failure);
    }

    /** Ends a cell: its jobs have been cancelled; a thread that still runs is interrupted, then stopped. */
    static void interrupt(String id) {
        Cell cell;
        synchronized (ScalaCells.class) {
            cancelled = id;
            cell = running;
            if (cell == null || !cell.id.equals(id) || cell.asked) {
                return;
            }
            cell.asked = true;
        }
        Thread ladder = new Thread(() -> end(cell), "glaux-scala-interrupt");
        ladder.setDaemon(true);
        ladder.start();
    }

    @SuppressWarnings({"deprecation", "removal"}) // nothing else ends a loop
    private static void end(Cell cell) {
        try {
            cell.join(JOBS_END);
            for (long waited = 0; cell.isAlive() && cell.interpreter.compiling() && waited < COMPILED; waited += JOBS_END) {
                cell.join(JOBS_END);
            }
            if (cell.isAlive()) {
                cell.interrupt();
            }
            cell.join(REACTS);
            while (cell.isAlive()) { // code may catch what ends it
                cell.stop();
                cell.join(REACTS);
            }
        } catch (InterruptedException nobody) {
            Thread.currentThread().interrupt();
        }
    }

    /** One cell, on a thread of its own: stopping that harms no other. */
    private static final class Cell extends Thread {
        final String id;
        private final String code;
        private final ScalaInterpreter interpreter;
        boolean asked; // to end; guarded by ScalaCells
        volatile ScalaInterpreter.Failure failure = ScalaInterpreter.Failure.interrupt(); // unless it comes to its own end

        Cell(String id, String code, ScalaInterpreter interpreter) {
            super(CELLS, "glaux-scala");
            this.id = id;
            this.code = code;
            this.interpreter = interpreter;
            setDaemon(true);
            // Not the interpreter's own: that asks the compiler for every name that it does not know, on whatever thread.
            setContextClassLoader(view);
        }

        @Override
        public void run() {
            try {
                Driver.begin(id);
                failure = Console$.MODULE$.withErr(System.err, () -> interpreter.run(code, this::ends));
            } catch (ThreadDeath stopped) {
                // told already
            } catch (Throwable broken) {
                failure = ScalaInterpreter.Failure.of(broken);
            }
        }

        private boolean ends() {
            synchronized (ScalaCells.class) {
                return asked;
            }
        }

        String outcome(ScalaInterpreter.Failure end) {
            boolean interrupted;
            synchronized (ScalaCells.class) {
                interrupted = end != null && (asked || id.equals(cancelled));
            }
            ObjectNode result = new ObjectMapper().createObjectNode();
            result.put("ok", end == null).put("interrupted", interrupted);
            if (end != null) {
                ObjectNode error = result.putObject("error").put("name", end.name()).put("value", end.value());
                ArrayNode lines = error.putArray("traceback");
                end.lines().forEach(lines::add);
            }
            return result.toString();
        }
    }

    /**
     * What threads load classes by: the session's jars and the classes of cells. Those are the interpreter's own, so that what tasks
     * of this process make is of the same class as what the cell knows.
     */
    private static final class View extends ClassLoader {
        volatile ClassLoader cells;

        View(ClassLoader jars) {
            super(jars);
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            ClassLoader known = cells;
            if (known == null || !name.startsWith("$line")) {
                throw new ClassNotFoundException(name);
            }
            return known.loadClass(name);
        }
    }

    /** Standard error, of which what cells write is theirs, among what they print; the rest is the driver's log. */
    private static final class ErrorStream extends OutputStream {
        private final PrintStream log;

        ErrorStream(PrintStream log) {
            this.log = log;
        }

        private PrintStream stream() {
            return CELLS.parentOf(Thread.currentThread().getThreadGroup()) ? System.out : log;
        }

        @Override
        public void write(int one) {
            stream().write(one);
        }

        @Override
        public void write(byte[] some, int from, int length) {
            stream().write(some, from, length);
        }

        @Override
        public void flush() {
            stream().flush();
        }
    }

    /** What is shown of an error is bounded. */
    static List<String> bounded(List<String> lines) {
        int most = 400;
        if (lines.size() <= most) {
            return lines;
        }
        List<String> cut = new java.util.ArrayList<>(lines.subList(0, most));
        cut.add("… (" + (lines.size() - most) + " lines left out)");
        return cut;
    }
}
