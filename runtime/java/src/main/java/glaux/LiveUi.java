package glaux;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.streaming.StreamingQueryListenerBus;
import org.apache.spark.sql.execution.ui.SQLAppStatusStore;
import org.apache.spark.sql.streaming.ui.StreamingQueryStatusListener;
import org.apache.spark.status.ElementTrackingStore;
import org.apache.spark.ui.SparkUI;
import scala.Option;

/**
 * The Spark UI of the running session, made when somebody first wants to see it: contexts start without one, because most
 * sessions are never looked at. What it shows is kept by listeners that every context has.
 */
final class LiveUi {
    private final Events events;
    private final ExecutorService one = Executors.newSingleThreadExecutor(work -> {
        Thread thread = new Thread(work, "glaux-ui");
        thread.setDaemon(true);
        return thread;
    });

    // Only the thread of one touches these.
    private SparkContext of;
    private SparkUI ui;

    LiveUi(Events events) {
        this.events = events;
    }

    /** Lets the context remember its streams, which it does by itself only when it has a UI from the start. */
    static void remember(SparkContext context) {
        StreamingQueryListenerBus streams = new StreamingQueryListenerBus(Option.empty());
        streams.addListener(new StreamingQueryStatusListener(context.conf(), store(context)));
        context.listenerBus().addToStatusQueue(streams);
    }

    private static ElementTrackingStore store(SparkContext context) {
        return (ElementTrackingStore) context.statusStore().store();
    }

    /** Answers with the port of the UI of the context that is active now, in an event that carries the number. */
    void ask(long number) {
        try {
            one.execute(() -> answer(number));
        } catch (RejectedExecutionException over) {
            events.send("uiFailed", "n", number, "error", "the driver is ending");
        }
    }

    private void answer(long number) {
        try {
            Option<SparkContext> active = SparkContext$.MODULE$.getActive();
            if (active.isEmpty() || active.get().isStopped()) {
                events.send("uiFailed", "n", number, "error", "there is no SparkContext: the session is starting, or its code has stopped it");
                return;
            }
            if (of != active.get()) {
                stop();
                start(active.get());
            }
            events.send("ui", "n", number, "port", ui.boundPort());
        } catch (Throwable failed) {
            failed.printStackTrace();
            events.send("uiFailed", "n", number, "error", "the Spark UI cannot be started: " + StartFailure.text(failed));
        }
    }

    private void start(SparkContext context) {
        SparkConf conf = Pages.settings(context.conf());
        SparkUI made = SparkUI.create(Option.apply(context), context.statusStore(), conf, Pages.security(conf),
                context.appName(), "", Waiting.began(context), context.version());
        made.setAppId(context.applicationId());
        Pages.serve(made, statements(context), store(context));
        ui = made;
        of = context;
        context.addSparkListener(new SparkListener() {
            @Override
            public void onApplicationEnd(SparkListenerApplicationEnd end) {
                one.execute(() -> {
                    if (of == context) {
                        stop(); // its stores are closed in a moment
                    }
                });
            }
        });
    }

    /** The store of SQL statements; the session's own also knows the figures of those that run. */
    private static SQLAppStatusStore statements(SparkContext context) {
        Option<SparkSession> session = SparkSession.getDefaultSession();
        if (session.isDefined() && session.get().sparkContext() == context) {
            return session.get().sharedState().statusStore();
        }
        return new SQLAppStatusStore(store(context), Option.empty());
    }

    private void stop() {
        if (ui != null) {
            ui.stop();
        }
        ui = null;
        of = null;
    }
}
