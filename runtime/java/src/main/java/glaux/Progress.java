package glaux;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.SparkContext;
import org.apache.spark.Success$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import scala.collection.JavaConverters;

/**
 * Follows executors, and the tasks of the cell that runs.
 *
 * <p>A job belongs to the running cell whichever thread or job group started it, unless it comes from
 * Spark Connect or a streaming query: Python threads do not carry the cell's job group.
 */
final class Progress extends SparkListener {
    /** At most one report per cell in this time, milliseconds. */
    private static final long EVERY = 100;

    /** The job group of the driver's own first query. */
    static final String WARM_UP = "glaux-warm-up";

    private final Events events;
    private final SparkContext context;
    private final Thread reporter;

    // All below is guarded by this.
    private String cell = "";
    private String cancelled = "";
    private int done;
    private int total;
    private boolean dirty;
    private boolean urgent; // a job has ended: the numbers may stand for long
    private final Map<Integer, String> jobs = new HashMap<>(); // running job to its cell
    private final Map<Integer, Stage> stages = new HashMap<>();

    private static final class Stage {
        final String cell;
        final int job;
        final int tasks;
        int finished;
        boolean submitted;

        Stage(String cell, int job, int tasks) {
            this.cell = cell;
            this.job = job;
            this.tasks = tasks;
        }
    }

    Progress(Events events, SparkContext context) {
        this.events = events;
        this.context = context;
        reporter = new Thread(this::report, "glaux-progress");
        reporter.setDaemon(true);
        reporter.start();
    }

    /** A cell begins: later jobs are its own. */
    synchronized void begin(String id) {
        cell = id;
        done = 0;
        total = 0;
        dirty = false;
        stages.clear();
    }

    /** Says whether no cell has begun yet. */
    synchronized boolean idle() {
        return cell.isEmpty();
    }

    /** Cancels the cell's jobs, those it still starts included. */
    void cancel(String id) {
        Integer[] mine;
        synchronized (this) {
            cancelled = id;
            mine = jobs.entrySet().stream().filter(e -> e.getValue().equals(id)).map(Map.Entry::getKey).toArray(Integer[]::new);
        }
        context.cancelJobGroup(id);
        for (int job : mine) {
            context.cancelJob(job);
        }
    }

    @Override
    public void onJobStart(SparkListenerJobStart start) {
        boolean stop;
        synchronized (this) {
            if (cell.isEmpty() || foreign(start.properties())) {
                return;
            }
            jobs.put(start.jobId(), cell);
            for (StageInfo stage : JavaConverters.seqAsJavaList(start.stageInfos())) {
                stages.put(stage.stageId(), new Stage(cell, start.jobId(), stage.numTasks()));
                total += stage.numTasks();
            }
            stop = cell.equals(cancelled);
            changed();
        }
        if (stop) {
            context.cancelJob(start.jobId());
        }
    }

    private static boolean foreign(Properties properties) {
        return properties != null
                && (WARM_UP.equals(properties.getProperty("spark.jobGroup.id")) || properties.getProperty("spark.job.tags", "").contains("SparkConnect_") || properties.getProperty("sql.streaming.queryId") != null);
    }

    @Override
    public synchronized void onStageSubmitted(SparkListenerStageSubmitted submitted) {
        Stage stage = stages.get(submitted.stageInfo().stageId());
        if (stage != null) {
            stage.submitted = true;
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
        Stage stage = stages.get(end.stageId());
        if (stage != null && end.reason() == Success$.MODULE$ && stage.finished < stage.tasks) {
            stage.finished++;
            done++;
            changed();
        }
    }

    @Override
    public synchronized void onJobEnd(SparkListenerJobEnd end) {
        jobs.remove(end.jobId());
        for (Stage stage : stages.values()) {
            if (stage.job == end.jobId() && !stage.submitted && stage.finished == 0 && stage.cell.equals(cell)) {
                total -= stage.tasks; // its output was there already
                stage.submitted = true;
            }
        }
        urgent = true;
        changed();
    }

    @Override
    public void onExecutorAdded(SparkListenerExecutorAdded added) {
        if (!added.executorId().equals("driver")) { // reported once, by Driver
            events.send("executor", "id", added.executorId(), "host", added.executorInfo().executorHost(),
                    "cores", added.executorInfo().totalCores(), "time", added.time(), "removed", false, "reason", "");
        }
    }

    @Override
    public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
        events.send("executor", "id", removed.executorId(), "host", "", "cores", 0, "time", removed.time(), "removed", true, "reason", String.valueOf(removed.reason()));
    }

    private void changed() { // the lock is held
        if (total > 0) {
            dirty = true;
            notifyAll();
        }
    }

    private void report() {
        try {
            while (true) {
                String group;
                int tasksDone;
                int tasksTotal;
                synchronized (this) {
                    while (!dirty) {
                        wait();
                    }
                    dirty = false;
                    urgent = false;
                    group = cell;
                    tasksDone = done;
                    tasksTotal = total;
                }
                events.send("progress", "group", group, "done", tasksDone, "total", tasksTotal);
                synchronized (this) {
                    long until = System.nanoTime() + EVERY * 1_000_000;
                    for (long left = EVERY; !urgent && left > 0; left = (until - System.nanoTime()) / 1_000_000) {
                        wait(left);
                    }
                }
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }
}
