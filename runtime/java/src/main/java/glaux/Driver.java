package glaux;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.python.Py4JServer;
import org.apache.spark.sql.SparkSession;
import scala.Option;

/**
 * A session's JVM: SparkContext, SparkSession, a Py4J gateway for the Python runner and Spark Connect on a Unix socket.
 *
 * <p>Commands come as JSON lines on standard input, events go as JSON lines to file descriptor 3, logs to descriptors 1 and 2.
 * The end of standard input ends the driver.
 *
 * <p>Environment: GLAUX_CONNECT_SOCKET (path; without it there is no Spark Connect) and GLAUX_CONNECT_SECRET.
 * System properties: spark.*; glaux.conf, a file of Spark properties (JSON object, or Java properties in UTF-8);
 * glaux.archive, the start-up archive that the command line names.
 */
public final class Driver {
    private static final CompletableFuture<SparkSession> STARTED = new CompletableFuture<>();

    private static volatile JavaSparkContext context;
    private static volatile boolean served; // Spark Connect is
    private static volatile Progress progress;
    private static Events events;
    private static LiveUi ui;

    private Driver() {}

    /** The Java context, for the runner. Blocks until the driver has started; throws when it cannot. */
    public static JavaSparkContext context() throws Exception {
        session();
        return context;
    }

    /** The session, for the runner. Blocks until the driver has started; throws when it cannot. */
    public static SparkSession session() throws Exception {
        try {
            return STARTED.get();
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof Exception ? (Exception) failed.getCause() : failed;
        }
    }

    /** The runner begins a cell on the calling thread: jobs carry its id as their group, and are interrupted when cancelled. */
    public static void begin(String cell) {
        Option<SparkContext> active = SparkContext$.MODULE$.getActive();
        if (active.isEmpty()) {
            return; // the user's code has stopped it
        }
        SparkContext now = active.get();
        if (context.sc() != now) { // and has started another one
            context = new JavaSparkContext(now);
            progress = new Progress(events, now);
            now.addSparkListener(progress);
            LiveUi.remember(now);
            EventLogBound.watch(now);
        }
        now.setJobGroup(cell, "", true);
        progress.begin(cell);
    }

    /** Runs the driver until it is told to stop. */
    public static void main(String[] args) throws Exception {
        events = Events.open();
        ui = new LiveUi(events);
        InputStream in = System.in;
        System.setIn(InputStream.nullInputStream()); // commands are not for the user's code
        Thread commands = new Thread(() -> serve(in), "glaux-commands");
        commands.setDaemon(true);
        commands.start();
        Map<String, String> given = new TreeMap<>(); // the session's own properties
        SparkSession session = null;
        try {
            session = start(given);
        } catch (Throwable thrown) {
            StartFailure failure = StartFailure.of(thrown, given);
            STARTED.completeExceptionally(failure);
            StringWriter stack = new StringWriter();
            thrown.printStackTrace(new PrintWriter(stack));
            events.send("failed", "error", failure.getMessage(), "detail", stack.toString());
            Runtime.getRuntime().halt(1); // nothing was promised to anybody yet
        }
        goOn(session);
        Thread.currentThread().join(); // until serve exits
    }

    private static SparkSession start(Map<String, String> given) throws Exception {
        Map<String, String> env = System.getenv();
        if (!env.getOrDefault("GLAUX_CONNECT_SOCKET", "").isEmpty() && env.getOrDefault("GLAUX_CONNECT_SECRET", "").isEmpty()) {
            throw new StartFailure("GLAUX_CONNECT_SOCKET is set without GLAUX_CONNECT_SECRET", null);
        }
        SparkConf conf = new SparkConf();
        // One loader for Py4J, Spark and tasks, to which jars are added later; threads inherit it.
        JarLoader loader = new JarLoader(Driver.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        Py4JServer gateway = new Py4JServer(conf);
        gateway.start();
        events.send("gateway", "port", gateway.getListeningPort(), "secret", gateway.secret());

        if (Waiting.forProperties()) {
            SparkConf expected = new SparkConf(false);
            read(expected);
            WarmUp.andForget(expected);
            Memory.giveBack();
            events.send("waiting");
            Waiting.await();
        }
        read(conf);
        for (scala.Tuple2<String, String> property : conf.getAll()) {
            given.put(property._1(), property._2());
        }
        Defaults.apply(conf, env);
        if (Waiting.forProperties()) {
            WarmUp.configure(conf);
        }
        Dependencies.resolve(conf, loader);
        Check.properties(given, loader);
        if (ScalaCells.wanted()) {
            ScalaCells.prepare(conf);
            ScalaCells.start(conf, loader);
        }
        for (scala.Tuple2<String, String> property : conf.getAll()) {
            System.getProperties().putIfAbsent(property._1(), property._2()); // a context that the user starts later has them too
        }
        SparkContext spark = SparkContext.getOrCreate(conf);
        context = new JavaSparkContext(spark);
        progress = new Progress(events, spark);
        spark.addSparkListener(progress);
        events.send("context", "appId", spark.applicationId(), "version", spark.version());
        events.send("executor", "id", "driver", "host", spark.conf().get("spark.driver.host"),
                "cores", spark.isLocal() ? spark.defaultParallelism() : spark.conf().getInt("spark.driver.cores", 1),
                "time", spark.startTime(), "removed", false, "reason", "");

        SparkSession session = Warehouse.session(spark);
        session.sessionState(); // a bad SQL property fails here rather than in the first cell
        STARTED.complete(session);
        archive();
        events.send("ready");
        return session;
    }

    /** Does what no cell waits for. By now the session is theirs: they may have stopped its context. */
    private static void goOn(SparkSession session) {
        SparkContext spark = session.sparkContext();
        connect(spark);
        try {
            LiveUi.remember(spark);
            EventLogBound.watch(spark);
            if (Waiting.withContext()) {
                rehearse(session);
            } else if (progress.idle()) { // else their own query loads planner and code generator
                spark.setJobGroup(Progress.WARM_UP, WarmUp.NAME, false);
                session.range(10).count();
                if (progress.idle()) {
                    Warehouse.open(spark);
                }
            }
        } catch (Throwable theirs) {
            System.err.println("the first query of the session's start did not run: " + StartFailure.text(theirs));
        }
    }

    /** Runs the first queries, then waits for a session. */
    private static void rehearse(SparkSession session) throws Exception {
        WarmUp.queries(session);
        if (served) {
            WarmUp.connect(System.getenv("GLAUX_CONNECT_SOCKET"), System.getenv("GLAUX_CONNECT_SECRET"));
            ConnectServer.follow(session.sparkContext());
        }
        Waiting.rehearse(session);
        Warehouse.rehearse(session.sparkContext());
        session.sparkContext().listenerBus().waitUntilEmpty();
        Memory.giveBack();
        events.send("waiting");
        Waiting.await();
    }

    private static void connect(SparkContext spark) {
        String socket = System.getenv().getOrDefault("GLAUX_CONNECT_SOCKET", "");
        if (socket.isEmpty()) {
            return;
        }
        try {
            ConnectServer.start(spark, socket, System.getenv("GLAUX_CONNECT_SECRET"), events);
            served = true;
            if (!Waiting.withContext()) { // its first operations are ours
                ConnectServer.follow(spark);
            }
            events.send("connect");
        } catch (Throwable failed) {
            failed.printStackTrace();
            events.send("connectFailed", "error", StartFailure.text(failed));
        }
    }

    /** Adds the properties of the file that glaux.conf names. */
    private static void read(SparkConf conf) throws Exception {
        String name = System.getProperty("glaux.conf", "");
        if (name.isEmpty()) {
            return;
        }
        String text = Files.readString(Path.of(name));
        if (text.stripLeading().startsWith("{")) {
            new ObjectMapper().readTree(text).fields().forEachRemaining(field -> conf.set(field.getKey(), field.getValue().asText()));
            return;
        }
        Properties properties = new Properties();
        properties.load(new StringReader(text));
        for (String key : properties.stringPropertyNames()) {
            conf.set(key, properties.getProperty(key).strip());
        }
    }

    /** Reports whether the start-up archive is in use: the JVM falls back silently when a jar or a flag has changed. */
    private static void archive() {
        String name = System.getProperty("glaux.archive", "");
        if (name.isEmpty()) {
            events.send("archive", "used", false, "why", "there is none");
            return;
        }
        try {
            boolean mapped = Files.readString(Path.of("/proc/self/maps"), StandardCharsets.ISO_8859_1).contains(name);
            events.send("archive", "used", mapped, "why", mapped ? "" : "the Java runtime refused it: Java, the class path or a flag has changed");
        } catch (IOException noProc) {
            events.send("archive", "used", true, "why", "this system does not tell");
        }
    }

    /** Obeys commands until the shim is gone or says stop. */
    private static void serve(InputStream from) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(from, StandardCharsets.UTF_8))) {
            String line = in.readLine();
            if (line != null) {
                ObjectMapper json = new ObjectMapper();
                for (; line != null; line = in.readLine()) {
                    JsonNode command = json.readTree(line);
                    String op = command.path("op").asText();
                    if (op.equals("stop")) {
                        break;
                    }
                    if (op.equals("ui")) {
                        ui.ask(command.path("n").asLong());
                    }
                    if (op.equals("rest")) {
                        Memory.giveBack();
                    }
                    if (op.equals("claim")) {
                        Waiting.claim(command, Waiting.withContext() ? session() : null, events);
                    }
                    Progress current = progress;
                    if (op.equals("cancel") && current != null) {
                        current.cancel(command.path("group").asText());
                    }
                    if (op.equals("cancel") && ScalaCells.wanted()) {
                        ScalaCells.interrupt(command.path("group").asText());
                    }
                }
            }
        } catch (Exception broken) {
            broken.printStackTrace();
        }
        JavaSparkContext running = context;
        if (running != null) {
            try {
                SparkContext$.MODULE$.getActive().getOrElse(running::sc).stop();
            } catch (Exception broken) {
                broken.printStackTrace();
            }
        }
        System.exit(0);
    }
}
