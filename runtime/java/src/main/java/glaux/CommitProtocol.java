package glaux;

import java.io.Serializable;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.spark.internal.io.FileCommitProtocol;
import org.apache.spark.internal.io.FileNameSpec;
import org.apache.spark.internal.io.cloud.PathOutputCommitProtocol;
import org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol;
import scala.Option;
import scala.collection.Seq;

/**
 * Commits through the committer of the output's file system (the magic committer on S3). A dynamic partition
 * overwrite goes through Spark's own protocol and the plain file committer instead: with the former, Spark would
 * never learn which partitions were written, and leave their old files beside the new ones.
 */
public class CommitProtocol extends FileCommitProtocol implements Serializable {
    private static final long serialVersionUID = 2;
    private final boolean dynamic;
    private final FileCommitProtocol by;

    /** Called by Spark, by these three arguments. */
    public CommitProtocol(String job, String destination, boolean dynamicPartitionOverwrite) {
        dynamic = dynamicPartitionOverwrite;
        by = dynamic ? new SQLHadoopMapReduceCommitProtocol(job, destination, true) : new PathOutputCommitProtocol(job, destination, false);
    }

    /** Makes what asks for a committer by its path, as Parquet does, get the plain one too. */
    private <T extends JobContext> T plain(T context) {
        if (dynamic) {
            context.getConfiguration().set("mapreduce.outputcommitter.factory.class", "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory");
        }
        return context;
    }

    @Override
    public void setupJob(JobContext job) {
        by.setupJob(plain(job));
    }

    @Override
    public void commitJob(JobContext job, Seq<TaskCommitMessage> commits) {
        by.commitJob(job, commits);
    }

    @Override
    public void abortJob(JobContext job) {
        by.abortJob(job);
    }

    @Override
    public void setupTask(TaskAttemptContext task) {
        by.setupTask(plain(task));
    }

    @Override
    @Deprecated
    public String newTaskTempFile(TaskAttemptContext task, Option<String> dir, String ext) {
        return by.newTaskTempFile(task, dir, ext);
    }

    @Override
    public String newTaskTempFile(TaskAttemptContext task, Option<String> dir, FileNameSpec name) {
        return by.newTaskTempFile(task, dir, name);
    }

    @Override
    @Deprecated
    public String newTaskTempFileAbsPath(TaskAttemptContext task, String dir, String ext) {
        return by.newTaskTempFileAbsPath(task, dir, ext);
    }

    @Override
    public String newTaskTempFileAbsPath(TaskAttemptContext task, String dir, FileNameSpec name) {
        return by.newTaskTempFileAbsPath(task, dir, name);
    }

    @Override
    public TaskCommitMessage commitTask(TaskAttemptContext task) {
        return by.commitTask(task);
    }

    @Override
    public void abortTask(TaskAttemptContext task) {
        by.abortTask(task);
    }

    @Override
    public boolean deleteWithJob(FileSystem fs, Path path, boolean recursive) {
        return by.deleteWithJob(fs, path, recursive);
    }

    @Override
    public void onTaskCommit(TaskCommitMessage commit) {
        by.onTaskCommit(commit);
    }
}
