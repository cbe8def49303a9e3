package glaux;

import java.io.IOException;
import java.net.URL;
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

    private volatile boolean own;

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
