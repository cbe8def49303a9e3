package glaux;

import java.io.IOException;
import java.net.URI;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.catalyst.catalog.CatalogDatabase;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.internal.SharedState;

/**
 * Lets a session start without opening the file system of its warehouse. Spark would do that only to write the warehouse's path in
 * full; for an s3:// path, which is in full already, it loads and configures the S3 client, a quarter of what a start takes.
 */
final class Warehouse {
    /** The property that names it. */
    static final String LOCATION = "spark.sql.warehouse.dir";

    private static final Set<String> S3 = Set.of("s3", "s3a", "s3n");

    private Warehouse() {}

    /** Makes the session of a context, up to what all its sessions share. */
    static SparkSession session(SparkContext context) {
        SparkSession session = SparkSession.builder().sparkContext(context).getOrCreate();
        Path path = path(context);
        String scheme = path.toUri().getScheme();
        if (!onS3(path)) {
            return session;
        }
        String name = "fs." + scheme + ".impl";
        String cache = name + ".disable.cache";
        Configuration hadoop = context.hadoopConfiguration(); // of which the shared state makes a copy
        String[] was = {hadoop.get(name), hadoop.get(cache)};
        hadoop.set(name, Named.class.getName());
        hadoop.set(cache, "true");
        SharedState shared;
        try {
            shared = session.sharedState();
        } finally {
            put(hadoop, name, was[0]);
            put(hadoop, cache, was[1]);
        }
        put(shared.hadoopConf(), name, was[0]);
        put(shared.hadoopConf(), cache, was[1]);
        return session;
    }

    /** Moves it to where the session of a driver that has waited wants it. Nothing is in it yet. */
    static void move(SparkSession session, String location) {
        SharedState shared = session.sharedState();
        String path = new Path(location).toString();
        shared.hadoopConf().set("hive.metastore.warehouse.dir", path);
        session.sessionState().conf().setConfString(LOCATION, path);
        CatalogDatabase empty = shared.externalCatalog().getDatabase("default");
        shared.externalCatalog().alterDatabase(empty.copy(empty.name(), empty.description(), new Path(location).toUri(), empty.properties()));
    }

    /** Opens the file system after all, so that the first cell that uses it need not. What cannot be done that cell is told. */
    static void open(SparkContext context) {
        try {
            path(context).getFileSystem(context.hadoopConfiguration());
        } catch (IOException | RuntimeException failed) {
            // It fails again, and in the right place, when it is used.
        }
    }

    /** Opens the file system for nobody and closes it: what is left is code that is loaded. Nothing is asked of a server. */
    static void rehearse(SparkContext context) {
        Path path = path(context);
        if (!onS3(path)) {
            return;
        }
        try {
            FileSystem.newInstance(path.toUri(), context.hadoopConfiguration()).close();
        } catch (IOException | RuntimeException failed) {
            // The session's first cell that uses it loads the code.
        }
    }

    private static Path path(SparkContext context) {
        return new Path(context.conf().get(LOCATION, "spark-warehouse"));
    }

    private static boolean onS3(Path path) {
        String scheme = path.toUri().getScheme();
        return scheme != null && S3.contains(scheme) && path.toUri().getAuthority() != null;
    }

    private static void put(Configuration to, String name, String value) {
        if (value == null) {
            to.unset(name);
        } else {
            to.set(name, value);
        }
    }

    /** A file system that knows how its paths are written, and nothing else. */
    public static final class Named extends FileSystem {
        private URI uri;

        @Override
        public void initialize(URI name, Configuration conf) throws IOException {
            super.initialize(name, conf);
            uri = URI.create(name.getScheme() + "://" + name.getAuthority());
        }

        @Override
        public URI getUri() {
            return uri;
        }

        @Override
        public Path getWorkingDirectory() {
            return new Path("/");
        }

        @Override
        public void setWorkingDirectory(Path path) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FSDataInputStream open(Path path, int buffer) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FSDataOutputStream create(Path path, FsPermission mode, boolean overwrite, int buffer, short copies, long block, Progressable progress) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FSDataOutputStream append(Path path, int buffer, Progressable progress) {
            throw new UnsupportedOperationException();
        }

        @Override
        public boolean rename(Path from, Path to) {
            throw new UnsupportedOperationException();
        }

        @Override
        public boolean delete(Path path, boolean all) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FileStatus[] listStatus(Path path) {
            throw new UnsupportedOperationException();
        }

        @Override
        public boolean mkdirs(Path path, FsPermission mode) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FileStatus getFileStatus(Path path) {
            throw new UnsupportedOperationException();
        }
    }
}
