package glaux;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.deploy.SparkHadoopUtil;
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

    /** A property of SQL that every session of ours is launched with. */
    private static final String SQL_OF_OURS = "spark.sql.execution.arrow.pyspark.enabled";

    private static final CountDownLatch CLAIMED = new CountDownLatch(1);

    private static volatile long since; // when it was claimed, Unix milliseconds

    private Waiting() {}

    static boolean withContext() {
        return "context".equals(System.getProperty("glaux.wait"));
    }

    static boolean forProperties() {
        return "properties".equals(System.getProperty("glaux.wait"));
    }

    /** Says whether the driver still prepares for a session, with queries of its own. */
    static boolean rehearses() {
        return withContext() && CLAIMED.getCount() > 0;
    }

    /** When the session of the context began, Unix milliseconds. */
    static long began(SparkContext context) {
        return Math.max(context.startTime(), since);
    }

    /** Blocks until a session has claimed the driver. */
    static void await() throws InterruptedException {
        CLAIMED.await();
    }

    /** Goes once through what a claim does, with nothing that changes. */
    static void rehearse(SparkSession session) throws Exception {
        SparkConf conf = session.sparkContext().conf();
        JsonNode command = new ObjectMapper().readTree("{\"op\": \"claim\", \"settings\": {\"spark.app.name\": \"\"}}");
        for (String name : settings(command).keySet()) {
            set(session, name, conf.get(name));
        }
        set(session, Warehouse.LOCATION, conf.get(Warehouse.LOCATION));
        session.conf().set(SQL_OF_OURS, session.conf().get(SQL_OF_OURS));
        show(session.sparkContext());
    }

    /** Takes over what the command says; the event that answers says why it cannot be. Blocks for a moment. */
    static void claim(JsonNode command, SparkSession session, Events events) {
        try {
            since = System.currentTimeMillis();
            if (withContext()) {
                take(settings(command), session);
            }
            events.send("claimed", "refused", "");
            CLAIMED.countDown();
        } catch (Throwable refused) {
            events.send("claimed", "refused", StartFailure.text(refused));
        }
    }

    private static Map<String, String> settings(JsonNode command) {
        Map<String, String> settings = new TreeMap<>();
        command.path("settings").fields().forEachRemaining(field -> settings.put(field.getKey(), field.getValue().asText()));
        return settings;
    }

    private static void take(Map<String, String> settings, SparkSession session) throws ReflectiveOperationException {
        SparkContext context = session.sparkContext();
        boolean news = false;
        for (Map.Entry<String, String> setting : settings.entrySet()) {
            if (!setting.getValue().equals(context.conf().get(setting.getKey(), null))) { // else it was launched with it
                set(session, setting.getKey(), setting.getValue());
                news = true;
            }
        }
        if (news) {
            show(context);
        }
        // The application began when its session did.
        context.listenerBus().post(new SparkListenerApplicationStart(
                context.appName(), Option.apply(context.applicationId()), since, context.sparkUser(), context.applicationAttemptId(), Option.empty(), Option.empty()));
    }

    private static void set(SparkSession session, String name, String value) {
        SparkContext context = session.sparkContext();
        if (name.equals(Warehouse.LOCATION)) {
            Warehouse.move(session, value);
        } else if (name.startsWith(SQL)) {
            if (SQLConf$.MODULE$.isStaticConfigKey(name)) {
                throw new IllegalArgumentException(name + " cannot be set in a context that runs");
            }
            session.conf().set(name, value); // refuses a bad value
        } else if (name.startsWith(HADOOP)) {
            String own = name.substring(HADOOP.length());
            context.hadoopConfiguration().set(own, value);
            session.sharedState().hadoopConf().set(own, value);
            SparkHadoopUtil.get().conf().set(own, value);
        } else if (!name.equals("spark.app.name")) {
            throw new IllegalArgumentException(name + " cannot be set in a context that runs");
        }
        context.conf().set(name, value);
        session.sessionState().conf().setConfString(name, value);
        session.sharedState().conf().set(name, value); // what new sessions begin with
        System.setProperty(name, value); // and a context that code starts later
    }

    /** Shows the properties as they are now. */
    private static void show(SparkContext context) throws ReflectiveOperationException {
        var environment = SparkContext.class.getDeclaredMethod("postEnvironmentUpdate");
        environment.setAccessible(true);
        environment.invoke(context);
    }
}
