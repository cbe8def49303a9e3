package glaux;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListenerApplicationStart;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.internal.SQLConf$;
import scala.Option;

/**
 * A driver that waits for a session to claim it. With the system property glaux.wait=context it has its SparkContext by then, and
 * takes from the session what a running context can be given; with glaux.wait=properties it makes its context afterwards.
 */
final class Waiting {
    private static final String HADOOP = "spark.hadoop.";
    private static final String SQL = "spark.sql.";

    private static final CountDownLatch CLAIMED = new CountDownLatch(1);

    private static volatile long since; // when it was claimed, Unix milliseconds

    private Waiting() {}

    static boolean withContext() {
        return "context".equals(System.getProperty("glaux.wait"));
    }

    static boolean forProperties() {
        return "properties".equals(System.getProperty("glaux.wait"));
    }

    /** When the session of the context began, Unix milliseconds. */
    static long began(SparkContext context) {
        return Math.max(context.startTime(), since);
    }

    /** Blocks until a session has claimed the driver. */
    static void await() throws InterruptedException {
        CLAIMED.await();
    }

    /** Takes over what the command says; the event that answers says why it cannot be. Blocks for a moment. */
    static void claim(JsonNode command, SparkSession session, Events events) {
        try {
            Map<String, String> settings = new TreeMap<>();
            command.path("settings").fields().forEachRemaining(field -> settings.put(field.getKey(), field.getValue().asText()));
            since = System.currentTimeMillis();
            if (withContext()) {
                take(settings, session);
            }
            events.send("claimed", "refused", "");
            CLAIMED.countDown();
        } catch (Throwable refused) {
            events.send("claimed", "refused", StartFailure.text(refused));
        }
    }

    private static void take(Map<String, String> settings, SparkSession session) throws ReflectiveOperationException {
        SparkContext context = session.sparkContext();
        Configuration hadoop = context.hadoopConfiguration();
        Configuration shared = session.sharedState().hadoopConf();
        boolean news = false;
        for (Map.Entry<String, String> setting : settings.entrySet()) {
            String name = setting.getKey();
            String value = setting.getValue();
            if (value.equals(context.conf().get(name, null))) {
                continue; // it was launched with it
            }
            if (name.equals(Warehouse.LOCATION)) {
                Warehouse.move(session, value);
            } else if (name.startsWith(SQL)) {
                if (SQLConf$.MODULE$.isStaticConfigKey(name)) {
                    throw new IllegalArgumentException(name + " cannot be set in a context that runs");
                }
                session.conf().set(name, value); // refuses a bad value
            } else if (name.startsWith(HADOOP)) {
                hadoop.set(name.substring(HADOOP.length()), value);
                shared.set(name.substring(HADOOP.length()), value);
            } else if (!name.equals("spark.app.name")) {
                throw new IllegalArgumentException(name + " cannot be set in a context that runs");
            }
            context.conf().set(name, value);
            session.sessionState().conf().setConfString(name, value);
            session.sharedState().conf().set(name, value); // what new sessions begin with
            System.setProperty(name, value); // and a context that code starts later
            news = true;
        }
        if (news) {
            var environment = SparkContext.class.getDeclaredMethod("postEnvironmentUpdate");
            environment.setAccessible(true);
            environment.invoke(context);
        }
        // The application began when its session did.
        context.listenerBus().post(new SparkListenerApplicationStart(
                context.appName(), Option.apply(context.applicationId()), since, context.sparkUser(), context.applicationAttemptId(), Option.empty(), Option.empty()));
    }
}
