package glaux;

import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.output.PathOutputCommitter;
import org.apache.spark.internal.io.cloud.PathOutputCommitProtocol;

/**
 * Commits through the committer of the output's file system (the magic committer on S3). For a dynamic
 * partition overwrite, which that committer does not know, the plain file committer is used.
 */
public class CommitProtocol extends PathOutputCommitProtocol {
    private static final long serialVersionUID = 1;
    private final boolean dynamic;

    /** Called by Spark, by these three arguments. */
    public CommitProtocol(String job, String destination, boolean dynamicPartitionOverwrite) {
        super(job, destination, dynamicPartitionOverwrite);
        dynamic = dynamicPartitionOverwrite;
    }

    @Override
    public PathOutputCommitter setupCommitter(TaskAttemptContext context) {
        if (dynamic) {
            context.getConfiguration().set("mapreduce.outputcommitter.factory.class", "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory");
        }
        return super.setupCommitter(context);
    }
}
