package glaux;

import java.io.File;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import org.apache.spark.util.MutableURLClassLoader;

/**
 * The loader of a session's jars. It begins as any other, because Py4J and Spark hold it before the properties are read;
 * with spark.driver.userClassPathFirst the session's own classes and resources then win over the runtime's.
 */
final class JarLoader extends MutableURLClassLoader {
    static {
        ClassLoader.registerAsParallelCapable();
    }

    /** Jars of which the class path has the parts that Spark needs, because the list of all their entries is large. */
    private static final String WHOLES = System.getProperty("glaux.wholes", "");
    /** What the class path does not have of them. */
    private static final String REST = "com.amazonaws.services.";

    private volatile boolean own;
    private ClassLoader rest; // guarded by this; null until a class of it was asked for

    JarLoader(ClassLoader parent) {
        super(new URL[0], parent);
    }

    /** From now on what the jars have is taken from them. */
    void ownFirst() {
        own = true;
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        if (!own || name.startsWith("java.")) {
            return super.loadClass(name, resolve);
        }
        synchronized (getClassLoadingLock(name)) {
            Class<?> found = findLoadedClass(name);
            if (found == null) {
                try {
                    found = findClass(name);
                } catch (ClassNotFoundException notTheirs) {
                    return super.loadClass(name, resolve);
                }
            }
            if (resolve) {
                resolveClass(found);
            }
            return found;
        }
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
        try {
            return super.findClass(name);
        } catch (ClassNotFoundException missing) {
            if (WHOLES.isEmpty() || !name.startsWith(REST)) {
                throw missing;
            }
            return rest().loadClass(name); // the class path's own first
        }
    }

    /** The jars of which the class path has parts. */
    static List<String> wholes() {
        return WHOLES.isEmpty() ? List.of() : List.of(WHOLES.split(File.pathSeparator));
    }

    private synchronized ClassLoader rest() throws ClassNotFoundException {
        if (rest == null) {
            List<URL> jars = new ArrayList<>();
            for (String path : wholes()) {
                try {
                    jars.add(Path.of(path).toUri().toURL());
                } catch (MalformedURLException bad) {
                    throw new ClassNotFoundException("a jar of the runtime cannot be named: " + path, bad);
                }
            }
            rest = new URLClassLoader(jars.toArray(new URL[0]), getParent());
        }
        return rest;
    }

    @Override
    public URL getResource(String name) {
        URL found = own ? findResource(name) : null;
        return found == null ? super.getResource(name) : found;
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
        if (!own) {
            return super.getResources(name);
        }
        List<URL> all = new ArrayList<>(Collections.list(findResources(name)));
        for (URL inherited : Collections.list(getParent().getResources(name))) {
            all.add(inherited);
        }
        return Collections.enumeration(all);
    }
}
