package glaux;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.EventLoggingListener;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Ends the event log of a context that has become too long: whoever reads it later has to keep all of it in memory. */
final class EventLogBound extends SparkListener {
    /** The property that gives the bound, in bytes; nothing of Spark's. */
    static final String MOST = "glaux.eventlog.max";

    private static final int TASKS = 500; // between two looks at it

    private final SparkContext context;
    private final EventLoggingListener log;
    private final Path dir;
    private final long most;
    private int tasks;
    private boolean over;

    private EventLogBound(SparkContext context, EventLoggingListener log, long most) {
        this.context = context;
        this.log = log;
        this.dir = Path.of(new org.apache.hadoop.fs.Path(log.logWriter().logPath()).toUri().getPath());
        this.most = most;
    }

    /** Bounds the event log of a context, if it keeps one. */
    static void watch(SparkContext context) {
        long most = Long.getLong(MOST, 0);
        if (most > 0 && context.eventLogger().isDefined()) {
            context.addSparkListener(new EventLogBound(context, context.eventLogger().get(), most));
        }
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
        if (++tasks >= TASKS) {
            tasks = 0;
            look();
        }
    }

    @Override
    public void onStageCompleted(SparkListenerStageCompleted end) {
        look();
    }

    @Override
    public void onJobEnd(SparkListenerJobEnd end) {
        look();
    }

    private void look() {
        if (over) {
            return;
        }
        long bytes = 0;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(dir)) {
            for (Path file : files) {
                bytes += Files.size(file);
            }
        } catch (IOException gone) {
            return; // a file is being renamed: the next look sees it
        }
        if (bytes > most) {
            over = true;
            System.err.println("the event log of this session has reached " + (most >> 20) + " MiB: the history of its Spark UI ends here");
            context.removeSparkListener(log);
        }
    }
}
