package glaux;

import java.util.regex.Pattern;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.connect.ui.SparkConnectServerAppStatusStore;
import org.apache.spark.sql.connect.ui.SparkConnectServerTab;
import org.apache.spark.sql.execution.ui.SQLAppStatusStore;
import org.apache.spark.sql.execution.ui.SQLTab;
import org.apache.spark.sql.execution.ui.StreamingQueryStatusStore;
import org.apache.spark.sql.streaming.ui.StreamingQueryTab;
import org.apache.spark.ui.SparkUI;
import org.apache.spark.util.kvstore.KVStore;
import scala.Option;
import scala.Tuple2;

/** What the Spark UI of a session that runs and of one that is over have in common. */
final class Pages {
    /**
     * Names and values that are never shown: Spark's own list, and what credentials are called elsewhere. A Spark Connect client
     * sets spark.remote to its whole connection string, token included.
     */
    static final String REDACTED = "(?i)secret|passw(or)?d|passphrase|token|access[._-]?key|account[._-]?key|api[._-]?key|private[._-]?key"
            + "|signature|jaas|\\b(AKIA|ASIA)[A-Z0-9]{12,}|spark[._]remote|proxy-auth";

    private static final String REGEX = "spark.redaction.regex";

    private Pages() {}

    /**
     * The settings of a UI: those of the context, but where it listens, who may read it and what can be done with it are
     * not for the session's code to say.
     */
    static SparkConf settings(SparkConf of) {
        SparkConf conf = of.clone();
        for (Tuple2<String, String> property : of.getAll()) {
            String name = property._1();
            if (name.startsWith("spark.ssl.") || name.startsWith("spark.ui.reverseProxy") || name.startsWith("spark.ui.proxy")
                    || name.startsWith("spark.acls.") || name.startsWith("spark.admin.acls") || name.endsWith(".acls") || name.endsWith(".acls.groups")) {
                conf.remove(name);
            }
        }
        conf.set("spark.ui.port", "0");
        conf.set("spark.ui.filters", SecretFilter.class.getName());
        conf.set("spark.ui.killEnabled", "false");
        conf.set("spark.ui.prometheus.enabled", "false");
        conf.set(REGEX, redacted(conf.get(REGEX, "")));
        return conf;
    }

    /** What is redacted: always what must be, and what the session wants besides. */
    static String redacted(String wanted) {
        if (wanted.isEmpty() || wanted.startsWith(REDACTED)) {
            return wanted.isEmpty() ? REDACTED : wanted;
        }
        try {
            Pattern.compile(wanted);
        } catch (IllegalArgumentException bad) {
            return REDACTED;
        }
        return REDACTED + "|" + wanted;
    }

    static SecurityManager security(SparkConf conf) {
        return new SecurityManager(conf, Option.empty(), org.apache.spark.internal.config.package$.MODULE$.AUTH_SECRET_FILE());
    }

    /** Attaches the tabs that a UI does not bring along, whether or not there is something to show on them, and serves it. */
    static int serve(SparkUI ui, SQLAppStatusStore statements, KVStore store) {
        new SQLTab(statements, ui);
        new StreamingQueryTab(new StreamingQueryStatusStore(store), ui);
        new SparkConnectServerTab(new SparkConnectServerAppStatusStore(store), ui);
        ui.bind();
        ui.attachAllHandlers();
        return ui.boundPort();
    }
}
