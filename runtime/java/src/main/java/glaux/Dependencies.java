package glaux;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.SparkHadoopUtil$;
import org.apache.spark.util.DependencyUtils$;
import scala.Option;
import scala.collection.JavaConverters;

/**
 * What spark-submit does before a context starts, for the properties that only it reads: packages,
 * jars, Python files, class path. Spark's context itself handles spark.files and spark.archives; here
 * they are only checked, because it would say less clearly what is missing.
 */
final class Dependencies {
    /** Files that cells find in their work directory; a property of the launcher's own. */
    private static final String WORK_FILES = "spark.glaux.files";

    private final SparkConf conf;
    private final JarLoader loader;
    private Configuration hadoop;
    private File downloads;

    private Dependencies(SparkConf conf, JarLoader loader) {
        this.conf = conf;
        this.loader = loader;
    }

    /** Fetches what the properties name, puts jars into loader and rewrites the properties to local files. */
    static void resolve(SparkConf conf, JarLoader loader) throws StartFailure {
        new Dependencies(conf, loader).resolve();
    }

    private void resolve() throws StartFailure {
        Set<String> jars = new LinkedHashSet<>();
        Set<String> pyFiles = new LinkedHashSet<>();
        for (String jar : fetch("spark.jars")) {
            jars.add(jar);
        }
        for (String jar : packages()) {
            jars.add(jar);
            pyFiles.add(jar); // a package may hold Python modules
        }
        for (String file : fetch("spark.submit.pyFiles")) {
            pyFiles.add(file);
        }
        check("spark.files");
        for (String file : fetch(WORK_FILES)) {
            intoWork(Path.of(file));
        }
        check("spark.archives");
        for (String entry : classPath(conf.get("spark.driver.extraClassPath", ""))) {
            add(entry);
        }
        for (String jar : jars) {
            add(jar);
        }
        if (conf.getBoolean("spark.driver.userClassPathFirst", false)) {
            loader.ownFirst(); // tasks too: their loaders are this one's children
        }
        if (!jars.isEmpty()) {
            conf.set("spark.jars", String.join(",", jars));
        }
        if (!pyFiles.isEmpty()) {
            conf.set("spark.submit.pyFiles", String.join(",", pyFiles));
            Set<String> files = new LinkedHashSet<>(items("spark.files"));
            files.addAll(pyFiles); // how they reach executors
            conf.set("spark.files", String.join(",", files));
        }
    }

    /** Copies a file into the work directory, where cells find it by its name. */
    private static void intoWork(Path file) throws StartFailure {
        try {
            Files.copy(file, Path.of(System.getProperty("user.dir")).resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException failed) {
            throw new StartFailure(called(WORK_FILES) + " names " + file.getFileName() + ", which cannot be copied into the work directory: " + StartFailure.text(failed), failed);
        }
    }

    /** What the session's people call a property. */
    private static String called(String property) {
        return property.equals(WORK_FILES) ? "--extra-files" : property;
    }

    private List<String> items(String property) {
        List<String> all = new ArrayList<>();
        for (String item : conf.get(property, "").split(",")) {
            if (!item.isBlank()) {
                all.add(item.strip());
            }
        }
        return all;
    }

    private List<String> packages() throws StartFailure {
        String packages = String.join(",", items("spark.jars.packages"));
        if (packages.isEmpty()) {
            return List.of();
        }
        String settings = conf.get("spark.jars.ivySettings", "");
        try {
            return JavaConverters.seqAsJavaList(DependencyUtils$.MODULE$.resolveMavenDependencies(true, conf.get("spark.jars.excludes", ""), packages,
                    conf.get("spark.jars.repositories", null), conf.get("spark.jars.ivy", null), settings.isEmpty() ? Option.empty() : Option.apply(settings)));
        } catch (Exception unresolved) {
            throw new StartFailure("spark.jars.packages cannot be resolved (" + packages + "): " + StartFailure.text(unresolved), unresolved);
        }
    }

    /** The local files that a property names, globs expanded, remote ones downloaded. */
    private List<String> fetch(String property) throws StartFailure {
        List<String> local = new ArrayList<>();
        for (String item : items(property)) {
            if (isLocal(item)) {
                Path path = localPath(item);
                if (Files.exists(path)) {
                    if (!Files.isReadable(path)) {
                        throw new StartFailure(called(property) + " names " + item + ", which cannot be read", null);
                    }
                    local.add(path.toAbsolutePath().toString());
                    continue;
                }
                if (!item.contains("*") && !item.contains("?") && !item.contains("[")) {
                    throw new StartFailure(called(property) + " names " + item + ", which does not exist", null);
                }
            }
            try {
                String found = DependencyUtils$.MODULE$.resolveGlobPaths(item, hadoop());
                for (String one : found.split(",")) {
                    String file = DependencyUtils$.MODULE$.downloadFile(one, downloads(), conf, hadoop());
                    Path path = localPath(file);
                    if (!Files.exists(path)) {
                        throw new StartFailure(called(property) + " names " + item + ", which does not exist", null);
                    }
                    local.add(path.toAbsolutePath().toString());
                }
            } catch (StartFailure missing) {
                throw missing;
            } catch (Exception failed) {
                throw new StartFailure(called(property) + " names " + item + ", which cannot be fetched: " + StartFailure.text(failed), failed);
            }
        }
        return local;
    }

    private void check(String property) throws StartFailure {
        for (String item : items(property)) {
            String file = item.contains("#") ? item.substring(0, item.indexOf('#')) : item;
            if (isLocal(file) && !Files.exists(localPath(file))) {
                throw new StartFailure(called(property) + " names " + file + ", which does not exist", null);
            }
        }
    }

    /** Expands DIR/* as java does. */
    private static List<String> classPath(String given) {
        List<String> entries = new ArrayList<>();
        for (String entry : given.split(File.pathSeparator)) {
            if (entry.endsWith("/*")) {
                File[] jars = new File(entry.substring(0, entry.length() - 2)).listFiles((dir, name) -> name.endsWith(".jar"));
                for (File jar : jars == null ? new File[0] : jars) {
                    entries.add(jar.getPath());
                }
            } else if (!entry.isBlank()) {
                entries.add(entry);
            }
        }
        return entries;
    }

    private void add(String file) throws StartFailure {
        try {
            loader.addURL(Path.of(file).toUri().toURL());
        } catch (Exception bad) {
            throw new StartFailure("the class path entry " + file + " cannot be used: " + StartFailure.text(bad), bad);
        }
    }

    private static boolean isLocal(String item) {
        return !item.contains(":") || item.startsWith("file:") || item.startsWith("local:");
    }

    private static Path localPath(String item) {
        if (item.startsWith("file:") || item.startsWith("local:")) {
            String path = URI.create(item.replace(" ", "%20")).getPath();
            return Path.of(path == null ? item.substring(item.indexOf(':') + 1) : path);
        }
        return Path.of(item);
    }

    private Configuration hadoop() {
        if (hadoop == null) {
            hadoop = SparkHadoopUtil$.MODULE$.newConfiguration(conf);
        }
        return hadoop;
    }

    private File downloads() throws java.io.IOException {
        if (downloads == null) {
            downloads = Files.createTempDirectory("glaux-files-").toFile();
        }
        return downloads;
    }
}
