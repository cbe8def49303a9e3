package glaux;

import java.util.Map;
import org.apache.spark.internal.config.ConfigEntry;
import org.apache.spark.internal.config.ConfigEntry$;
import org.apache.spark.internal.config.ConfigReader;
import org.apache.spark.internal.config.package$;

/**
 * Refuses bad values that Spark would only meet later, or pass over with a line in its log: a session that starts
 * without what it was asked for is harder to understand than one that does not start.
 */
final class Check {
    private Check() {}

    /** Checks the session's own properties against what Spark knows of them; unknown ones are the user's business. */
    static void properties(Map<String, String> given, ClassLoader loader) throws StartFailure {
        if (given.isEmpty()) {
            return;
        }
        package$.MODULE$.EXECUTOR_MEMORY(); // registers Spark's properties; those of SQL are checked by the session itself
        ConfigReader reader = new ConfigReader(given);
        for (Map.Entry<String, String> property : given.entrySet()) {
            ConfigEntry<?> entry = ConfigEntry$.MODULE$.findEntry(property.getKey());
            if (entry == null) {
                continue;
            }
            try {
                entry.readFrom(reader);
            } catch (RuntimeException bad) {
                throw new StartFailure(property.getKey() + " cannot be \"" + property.getValue() + "\": " + StartFailure.text(bad), bad);
            }
        }
        for (String name : given.getOrDefault("spark.sql.extensions", "").split(",")) {
            if (!name.isBlank()) {
                try {
                    Class.forName(name.strip(), false, loader);
                } catch (ClassNotFoundException | LinkageError missing) {
                    throw new StartFailure("spark.sql.extensions names " + name.strip() + ", which is on no class path of the session", missing);
                }
            }
        }
    }
}
