package glaux;

import java.util.Set;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;
import org.sparkproject.connect.grpc.Status;
import scala.Option;

/**
 * Keeps Spark Connect on the session's SparkContext, which code of a calculation may stop, and start anew. While there is none
 * calls are refused with a status that no client tries again. With a new one every Connect session begins afresh: what it held
 * (views, properties, functions) went with the old context.
 */
final class ContextInterceptor implements ServerInterceptor {
    /** Calls that finish something; they need no context. */
    private static final Set<String> ENDING = Set.of("ReleaseExecute", "Interrupt", "ReattachExecute");

    private SparkContext current; // guarded by this

    ContextInterceptor(SparkContext context) {
        current = context;
    }

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
        if (ENDING.contains(call.getMethodDescriptor().getBareMethodName())) {
            return next.startCall(call, headers);
        }
        Option<SparkContext> active = SparkContext$.MODULE$.getActive();
        if (active.isEmpty() || active.get().isStopped()) {
            call.close(Status.FAILED_PRECONDITION.withDescription("the code of a calculation has stopped the SparkContext of this session"), new Metadata());
            return new ServerCall.Listener<Q>() {};
        }
        follow(active.get());
        return next.startCall(call, headers);
    }

    private synchronized void follow(SparkContext now) {
        if (current == now) {
            return;
        }
        current = now;
        Option<SparkSession> session = SparkSession.getDefaultSession(); // new Connect sessions are made of it
        if (session.isEmpty() || session.get().sparkContext() != now) {
            SparkSession.builder().sparkContext(now).getOrCreate();
            SparkSession.clearActiveSession();
        }
        SparkConnectService$.MODULE$.invalidateAllSessions();
        try {
            ConnectServer.show(now);
        } catch (ReflectiveOperationException | RuntimeException failed) {
            failed.printStackTrace(); // the UI lacks its Connect tab
        }
    }
}
