package glaux;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.ZipOutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.history.EventLogFileReader;
import org.apache.spark.deploy.history.HistoryAppStatusStore;
import org.apache.spark.scheduler.ReplayListenerBus;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.connect.ui.SparkConnectServerHistoryServerPlugin;
import org.apache.spark.sql.execution.ui.SQLAppStatusStore;
import org.apache.spark.sql.execution.ui.SQLHistoryServerPlugin;
import org.apache.spark.sql.execution.ui.StreamingQueryHistoryServerPlugin;
import org.apache.spark.status.AppHistoryServerPlugin;
import org.apache.spark.status.AppStatusListener;
import org.apache.spark.status.ElementTrackingStore;
import org.apache.spark.status.api.v1.ApplicationAttemptInfo;
import org.apache.spark.status.api.v1.ApplicationInfo;
import org.apache.spark.ui.SparkUI;
import org.apache.spark.util.kvstore.InMemoryStore;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.Iterator$;
import scala.runtime.AbstractFunction1;

/** The Spark UI of a session that is over, made of its event log. */
final class EndedUi {
    private final SparkUI ui;
    private final ElementTrackingStore store;

    private EndedUi(SparkUI ui, ElementTrackingStore store) {
        this.ui = ui;
        this.store = store;
    }

    int port() {
        return ui.boundPort();
    }

    void stop() {
        ui.stop();
        store.close(false);
    }

    /** Reads the log of the session's last context that has one, and serves its UI; null when there is none. */
    static EndedUi read(SparkConf settings, Path dir) throws IOException {
        FileSystem files = FileSystem.getLocal(new Configuration(false)).getRaw();
        EventLogFileReader log = null;
        try (DirectoryStream<Path> all = Files.newDirectoryStream(dir)) {
            for (Path one : all) {
                if (!Files.isDirectory(one, LinkOption.NOFOLLOW_LINKS)) {
                    continue;
                }
                plain(one);
                Option<EventLogFileReader> found = EventLogFileReader.apply(files, files.getFileStatus(new org.apache.hadoop.fs.Path(one.toUri())));
                if (found.isDefined() && (log == null || found.get().modificationTime() > log.modificationTime())) {
                    log = found.get();
                }
            }
        }
        return log == null ? null : show(settings, log, files);
    }

    /** Refuses a log with anything but plain files: what is read, and given away later, is the log alone. */
    private static void plain(Path log) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(log)) {
            for (Path file : files) {
                if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
                    throw new IOException("an event log with something that is no plain file is not read");
                }
            }
        }
    }

    private static EndedUi show(SparkConf settings, EventLogFileReader log, FileSystem files) throws IOException {
        SparkConf conf = settings.clone();
        ElementTrackingStore store = new ElementTrackingStore(new InMemoryStore(), conf.clone().set("spark.appStateStore.asyncTracking.enable", "false"));
        replay(conf, log, files, store);
        HistoryAppStatusStore status;
        ApplicationInfo app;
        try {
            status = new HistoryAppStatusStore(conf, store); // which asks for the application too
            app = status.applicationInfo();
        } catch (java.util.NoSuchElementException unborn) { // the log ends before its application has begun
            store.close(false);
            return null;
        }
        ApplicationAttemptInfo attempt = app.attempts().head();
        SparkUI ui = new Whole(status, conf, app, attempt, log);
        ui.setAppId(app.id());
        Pages.serve(ui, new SQLAppStatusStore(store, Option.empty()), store);
        return new EndedUi(ui, store);
    }

    private static void replay(SparkConf conf, EventLogFileReader log, FileSystem files, ElementTrackingStore store) throws IOException {
        ReplayListenerBus bus = new ReplayListenerBus();
        bus.addListener(new AppStatusListener(store, conf, false, Option.empty(), Option.apply(log.modificationTime())));
        // By name, because the one of Spark Connect is not announced: it needs an environment, which HistoryServer has set.
        for (AppHistoryServerPlugin plugin : List.of(new SQLHistoryServerPlugin(), new StreamingQueryHistoryServerPlugin(), new SparkConnectServerHistoryServerPlugin())) {
            Iterator<SparkListener> listeners = plugin.createListeners(conf, store).iterator();
            while (listeners.hasNext()) {
                bus.addListener(listeners.next());
            }
        }
        Iterator<FileStatus> parts = log.listEventLogFiles().iterator();
        while (parts.hasNext()) {
            FileStatus part = parts.next();
            try (InputStream in = EventLogFileReader.openEventLog(part.getPath(), files)) {
                bus.replay(in, part.getPath().getName(), !log.completed(), new Known());
            }
        }
        store.close(false); // writes what listeners hold back; reading goes on
    }

    /** A UI that also knows when its application ended, and gives away its log, both over REST. */
    private static final class Whole extends SparkUI {
        private final HistoryAppStatusStore status;
        private final EventLogFileReader log;

        Whole(HistoryAppStatusStore status, SparkConf conf, ApplicationInfo app, ApplicationAttemptInfo attempt, EventLogFileReader log) {
            super(status, Option.empty(), conf, Pages.security(conf), app.name(), "", attempt.startTime().getTime(), attempt.appSparkVersion());
            this.status = status;
            this.log = log;
        }

        @Override
        public Iterator<ApplicationInfo> getApplicationInfoList() {
            return Iterator$.MODULE$.single(status.applicationInfo());
        }

        @Override
        public void writeEventLogs(String app, Option<String> attempt, ZipOutputStream to) {
            log.zipEventLogFiles(to);
        }
    }

    /**
     * Passes lines whose event is one of Spark's. Spark 3.5.6 makes an object of whatever class a line names, and the
     * session's own code may have written the log.
     */
    private static final class Known extends AbstractFunction1<String, Object> {
        private final JsonFactory json = new JsonFactory();

        @Override
        public Object apply(String line) {
            boolean named = false;
            try (JsonParser parser = json.createParser(line)) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    return false;
                }
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    boolean event = parser.getCurrentName().equals("Event");
                    JsonToken value = parser.nextToken();
                    if (event) { // should there be several, the last one counts for Spark: each has to be good
                        if (value != JsonToken.VALUE_STRING || !isEvent(parser.getText())) {
                            return false;
                        }
                        named = true;
                    }
                    parser.skipChildren();
                }
            } catch (IOException broken) {
                return false; // a line that was cut off
            }
            return named;
        }

        private static boolean isEvent(String name) {
            if (name.indexOf('.') < 0) {
                return name.startsWith("SparkListener");
            }
            if (!name.startsWith("org.apache.spark.")) {
                return false;
            }
            try {
                return SparkListenerEvent.class.isAssignableFrom(Class.forName(name, false, EndedUi.class.getClassLoader()));
            } catch (ClassNotFoundException | LinkageError unknown) {
                return false;
            }
        }
    }
}
