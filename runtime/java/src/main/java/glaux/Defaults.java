package glaux;

import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Map;
import org.apache.spark.SparkConf;

/** What a session has unless its properties say otherwise. */
final class Defaults {
    private Defaults() {}

    /** Fills in what is missing. The environment names the endpoint, region and credentials endpoint that S3 uses. */
    static void apply(SparkConf conf, Map<String, String> env) {
        set(conf, "spark.master", "local[*]");
        set(conf, "spark.app.name", "glaux");
        set(conf, "spark.ui.enabled", "false");
        // Before there is a context: its event log is redacted by it too. A bad pattern is refused by Check.
        conf.set("spark.redaction.regex", Pages.redacted(conf.get("spark.redaction.regex", "")));
        set(conf, "spark.ui.showConsoleProgress", "false");
        set(conf, "spark.driver.host", "127.0.0.1");
        set(conf, "spark.driver.bindAddress", "127.0.0.1");
        // What Spark itself opens holds a secret of its own. Some masters bring one, for others it is made here.
        set(conf, "spark.authenticate", "true");
        if (!conf.get("spark.master").matches("yarn|k8s:.*|local|local\\[([0-9]+|\\*)(,[0-9]+)?]")) {
            byte[] secret = new byte[32];
            new SecureRandom().nextBytes(secret);
            set(conf, "spark.authenticate.secret", HexFormat.of().formatHex(secret));
        }

        for (String scheme : new String[] {"s3", "s3n", "s3a"}) {
            set(conf, "spark.hadoop.fs." + scheme + ".impl", "org.apache.hadoop.fs.s3a.S3AFileSystem");
        }
        String endpoint = env.getOrDefault("AWS_ENDPOINT_URL_S3", env.getOrDefault("AWS_ENDPOINT_URL", ""));
        if (!endpoint.isEmpty()) {
            set(conf, "spark.hadoop.fs.s3a.endpoint", endpoint);
            set(conf, "spark.hadoop.fs.s3a.path.style.access", "true");
            set(conf, "spark.hadoop.fs.s3a.connection.ssl.enabled", Boolean.toString(endpoint.startsWith("https:")));
        }
        String region = env.getOrDefault("AWS_REGION", env.getOrDefault("AWS_DEFAULT_REGION", ""));
        if (!region.isEmpty()) {
            set(conf, "spark.hadoop.fs.s3a.endpoint.region", region);
        }
        if (env.containsKey("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            // Despite its name it asks the container endpoint first, and again before credentials expire.
            set(conf, "spark.hadoop.fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider");
        }
        // Deleting the markers above each file asks for the removal of directories that are not empty,
        // which a server that keeps directories refuses, and S3A then retries for minutes.
        set(conf, "spark.hadoop.fs.s3a.directory.marker.retention", "keep");

        // Nothing is visible before the job commits: parts are uploaded, completed at the end.
        set(conf, "spark.hadoop.fs.s3a.committer.name", "magic");
        set(conf, "spark.hadoop.fs.s3a.committer.magic.enabled", "true");
        for (String scheme : new String[] {"s3", "s3n", "s3a"}) {
            set(conf, "spark.hadoop.mapreduce.outputcommitter.factory.scheme." + scheme, "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory");
        }
        set(conf, "spark.sql.sources.commitProtocolClass", CommitProtocol.class.getName());
        set(conf, "spark.sql.parquet.output.committer.class", "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter");
    }

    private static void set(SparkConf conf, String key, String value) {
        if (!conf.contains(key)) {
            conf.set(key, value);
        }
    }
}
