package glaux;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import scala.Function1;
import scala.Option;
import scala.collection.JavaConverters;
import scala.reflect.internal.Trees;
import scala.runtime.AbstractPartialFunction;
import scala.tools.nsc.Settings;
import scala.tools.nsc.ast.parser.Parsers;
import scala.tools.nsc.interpreter.IMain;
import scala.tools.nsc.interpreter.Results;
import scala.util.Either;

/** Scala's own interpreter, with what Spark's shell has. One thread at a time. */
final class ScalaInterpreter {
    private static final String FILE = "<console>";
    /** What every cell finds. */
    private static final List<String> BINDINGS = List.of(
            "@transient val spark = glaux.Driver.session()\n@transient val sc = spark.sparkContext\n@transient val sqlContext = spark.sqlContext",
            "import org.apache.spark.SparkContext._\nimport spark.implicits._\nimport spark.sql\nimport org.apache.spark.sql.functions._");

    /** The objects round the code of a cell, which nobody wrote. */
    private static final Pattern WRAPPERS = Pattern.compile("\\$line\\d+\\.\\$(?:read|eval)\\$?(?:\\$?\\$iw)*[$.]?");
    private static final Pattern WRAPPER = Pattern.compile("\\$line\\d+\\.\\$(?:read|eval)\\$?(?:\\$?\\$iw)*\\$?");

    private final StringWriter said = new StringWriter(); // by the compiler
    private final IMain interpreter;
    private volatile boolean compiling;

    /** Makes an interpreter that keeps the classes of cells in a directory. */
    ScalaInterpreter(String classes, JarLoader loader) {
        List<String> jars = new ArrayList<>();
        for (java.net.URL jar : loader.getURLs()) {
            jars.add(java.nio.file.Path.of(java.net.URI.create(jar.toString())).toString());
        }
        jars.addAll(JarLoader.wholes());
        List<String> arguments = new ArrayList<>(List.of("-Yrepl-class-based", "-Yrepl-outdir", classes, "-usejavacp"));
        if (!jars.isEmpty()) {
            arguments.addAll(List.of("-classpath", String.join(java.io.File.pathSeparator, jars)));
        }
        Settings settings = new Settings();
        settings.processArguments(JavaConverters.asScalaBuffer(arguments).toList(), true);
        settings.explicitParentLoader_$eq(Option.apply(loader));
        interpreter = new IMain(settings, new PrintWriter(said, true));
        interpreter.initializeSynchronous();
    }

    /** Says whether the compiler works, which an interrupt could leave half done. */
    boolean compiling() {
        return compiling;
    }

    ClassLoader classLoader() {
        return interpreter.classLoader();
    }

    /** Loads the compiler, which takes a while. */
    void warmUp() {
        must("0");
    }

    /** Gives cells their names. The session is there. */
    void bind() {
        BINDINGS.forEach(this::must);
    }

    private void must(String code) {
        Failure failure = statement(code, false, () -> false);
        if (failure != null) {
            throw new IllegalStateException(failure.name() + ": " + failure.value());
        }
    }

    /** Runs the statements of a cell until one fails or the cell is to end; null when none did. */
    Failure run(String code, BooleanSupplier ends) {
        String unfinished;
        List<String> statements = new ArrayList<>();
        compiling = true;
        try {
            unfinished = split(code, statements);
        } finally {
            compiling = false;
            said.getBuffer().setLength(0);
        }
        if (unfinished != null) { // nothing of a cell that is no Scala runs
            return Failure.compile(unfinished);
        }
        for (String statement : statements) {
            Failure failure = statement(statement, true, ends);
            if (failure != null) {
                return failure;
            }
        }
        return null;
    }

    /** Compiles and runs one statement, or definitions that know each other. */
    private Failure statement(String code, boolean shown, BooleanSupplier ends) {
        Either<Results.Result, IMain.Request> compiled;
        String text;
        compiling = true;
        try {
            compiled = interpreter.compile(code, !shown);
        } finally {
            compiling = false;
            text = readable(said.toString());
            said.getBuffer().setLength(0);
        }
        if (ends.getAsBoolean()) {
            return Failure.interrupt();
        }
        if (compiled.isLeft()) {
            return text.isBlank() && !shown ? null : Failure.compile(text);
        }
        if (shown && !text.isBlank()) {
            System.out.print(text); // warnings
        }
        IMain.Request request = compiled.right().get();
        Object values;
        try {
            values = request.lineRep().call(request.lineRep().printName(), JavaConverters.asScalaBuffer(List.of()));
        } catch (Throwable thrown) {
            System.out.flush();
            scala.Console$.MODULE$.flush();
            return Failure.of(cause(thrown));
        }
        interpreter.recordRequest(request);
        scala.Console$.MODULE$.flush();
        if (shown) {
            String line = readable(String.valueOf(values));
            if (!line.isEmpty()) {
                System.out.print(line.endsWith("\n") ? line : line + "\n");
            }
        }
        return null;
    }

    /**
     * Splits a cell as a prompt would take it: each statement for itself, for its value is shown, but definitions that follow each
     * other together, because companions have to be. Returns what the parser says of code that it cannot read.
     */
    private String split(String code, List<String> statements) {
        interpreter.reporter().reset();
        Parsers.UnitParser parser = interpreter.global().newUnitParser(code, FILE);
        List<Integer> starts = new ArrayList<>();
        List<Boolean> definitions = new ArrayList<>();
        scala.PartialFunction<Object, scala.collection.immutable.List<Trees.Tree>> stat = parser.templateStat();
        parser.statSeq(new AbstractPartialFunction<Object, scala.collection.immutable.List<Trees.Tree>>() {
            @Override
            public boolean isDefinedAt(Object token) {
                return stat.isDefinedAt(token);
            }

            @Override
            public <A extends Object, B> B applyOrElse(A token, Function1<A, B> otherwise) {
                int start = parser.in().offset();
                if (!stat.isDefinedAt(token)) {
                    return otherwise.apply(token);
                }
                @SuppressWarnings("unchecked")
                B parsed = (B) stat.apply(token);
                starts.add(start);
                definitions.add(JavaConverters.seqAsJavaList((scala.collection.immutable.List<?>) parsed).stream().allMatch(ScalaInterpreter::defines));
                return parsed;
            }
        }, "illegal start of definition");
        parser.accept(0); // the end
        if (interpreter.reporter().hasErrors()) {
            interpreter.reporter().reset();
            return readable(said.toString());
        }
        for (int n = 0, from = 0; n < starts.size(); n++) {
            boolean last = n + 1 == starts.size();
            if (last || !definitions.get(n) || !definitions.get(n + 1)) {
                int to = last ? code.length() : starts.get(n + 1);
                statements.add(code.substring(from, to));
                from = to;
            }
        }
        return null;
    }

    private static boolean defines(Object tree) {
        return tree instanceof Trees.ClassDef || tree instanceof Trees.ModuleDef || tree instanceof Trees.DefDef || tree instanceof Trees.TypeDef || tree instanceof Trees.Import;
    }

    private static String readable(String text) {
        return WRAPPERS.matcher(text).replaceAll("");
    }

    private static Throwable cause(Throwable thrown) {
        Throwable at = thrown;
        while (at.getCause() != null && (at instanceof InvocationTargetException || at instanceof ExceptionInInitializerError)) {
            at = at.getCause();
        }
        return at;
    }

    /** Why a cell failed, in the parts that clients show. */
    record Failure(String name, String value, List<String> lines) {
        static Failure interrupt() {
            return new Failure("InterruptedException", "the cell was interrupted", List.of());
        }

        /** What the compiler said. */
        static Failure compile(String text) {
            List<String> lines = text.strip().lines().toList();
            return new Failure("Error", lines.isEmpty() ? "the code does not end" : lines.get(0), ScalaCells.bounded(lines));
        }

        /** An exception of the cell's code, with the frames that are the user's. */
        static Failure of(Throwable thrown) {
            if (thrown instanceof ThreadDeath) {
                return interrupt();
            }
            List<String> lines = new ArrayList<>();
            Set<Throwable> seen = new HashSet<>();
            String before = "";
            for (Throwable at = thrown; at != null && seen.add(at); at = at.getCause()) {
                lines.addAll((before + readable(text(at))).lines().toList());
                StackTraceElement[] frames = at.getStackTrace();
                int own = 0;
                while (own < frames.length && !isTop(frames[own])) {
                    own++;
                }
                Arrays.stream(frames, 0, own).forEach(frame -> lines.add("  at " + readable(frame.toString().replaceFirst("^.*//?", ""))));
                if (own < frames.length) {
                    lines.add("  ... " + (frames.length - own) + " elided");
                }
                before = "Caused by: ";
            }
            String value;
            try {
                value = String.valueOf(thrown.getMessage());
            } catch (RuntimeException broken) {
                value = "<the message cannot be shown>";
            }
            return new Failure(readable(thrown.getClass().getName()), readable(value), ScalaCells.bounded(lines));
        }

        private static String text(Throwable at) {
            try {
                return at.toString();
            } catch (RuntimeException broken) {
                return at.getClass().getName();
            }
        }

        /** The frame in which a cell's statements themselves run. */
        private static boolean isTop(StackTraceElement frame) {
            return (frame.getMethodName().equals("<init>") || frame.getMethodName().equals("<clinit>")) && WRAPPER.matcher(frame.getClassName()).matches();
        }
    }
}
