package glaux;

import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.sql.connect.service.ExecuteHolder;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.sparkproject.connect.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;
import scala.collection.JavaConverters;

/**
 * Tells the shim how many Spark Connect operations run, and when the last one ended.
 *
 * <p>An operation is a call that can make Spark work, until its client has the whole answer, and an execution whose client is
 * away, until it is done. Calls are counted here; for the executions Spark's own list is asked, so no count can drift: what a
 * client that vanished has left there counts until it has finished, or Spark drops it after five minutes.
 * Reading properties, asking after artifacts, interrupting and releasing are no work.
 *
 * <p>Spark's listener events would tell less: their bus may drop some, ends with the context, and knows no analysis and no upload.
 */
final class Activity implements ServerInterceptor {
    private static final Set<String> WORK = Set.of("ExecutePlan", "ReattachExecute", "AnalyzePlan", "AddArtifacts");
    private static final Set<String> OVER = Set.of("Finished", "Failed", "Canceled", "Closed");

    /** An end is told once nothing has begun for so long, milliseconds: work in quick succession is one piece of work. */
    private static final long LINGER = 200;
    /** How often executions without a call are looked at, milliseconds. */
    private static final long LOOK = 1000;

    private final Events events;

    // All below is guarded by this.
    private int executing; // calls that run an execution or read its answer
    private int others; // calls that do other work
    private boolean executed; // there has been an execution
    private boolean began; // a call, since tell looked
    private boolean news; // a call began or ended since tell looked
    private long ended; // when work was last seen to end or to go on, Unix milliseconds; 0: never

    Activity(Events events) {
        this.events = events;
        Thread teller = new Thread(this::tell, "glaux-activity");
        teller.setDaemon(true);
        teller.start();
    }

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
        if (Waiting.rehearses()) {
            return next.startCall(call, headers); // it is nobody's work
        }
        String method = call.getMethodDescriptor().getBareMethodName();
        if (!WORK.contains(method)) {
            return next.startCall(call, headers);
        }
        boolean execution = method.endsWith("Execute") || method.startsWith("Execute");
        begin(execution);
        AtomicBoolean over = new AtomicBoolean();
        try {
            // One of the two is always called, the first once the client has the last byte.
            return new SimpleForwardingServerCallListener<Q>(next.startCall(call, headers)) {
                @Override
                public void onComplete() {
                    end(execution, over);
                    super.onComplete();
                }

                @Override
                public void onCancel() {
                    end(execution, over);
                    super.onCancel();
                }
            };
        } catch (RuntimeException | Error refused) {
            end(execution, over);
            throw refused;
        }
    }

    private synchronized void begin(boolean execution) {
        if (execution) {
            executing++;
            executed = true;
        } else {
            others++;
        }
        began = true;
        news = true;
        notifyAll();
    }

    private synchronized void end(boolean execution, AtomicBoolean over) {
        if (!over.compareAndSet(false, true)) {
            return;
        }
        if (execution) {
            executing--;
        } else {
            others--;
        }
        ended = System.currentTimeMillis();
        news = true;
        notifyAll();
    }

    /** As count, or the calls alone where Spark cannot tell of its executions: nobody watches this thread. */
    private int known() {
        try {
            return count();
        } catch (RuntimeException | LinkageError broken) {
            broken.printStackTrace();
            synchronized (this) {
                return executing + others;
            }
        }
    }

    /** Counts the operations that run: exactly whether there are any, and as many as are known for certain. */
    private int count() {
        boolean ask;
        synchronized (this) {
            ask = executed;
        }
        int unfinished = 0;
        if (ask) {
            // Whether a call waits for an execution is not asked: Spark learns late that one was cut off.
            for (ExecuteHolder execution : JavaConverters.seqAsJavaList(SparkConnectService$.MODULE$.executionManager().listExecuteHolders())) {
                if (!OVER.contains(execution.eventsManager().status().toString())) {
                    unfinished++;
                }
            }
        }
        synchronized (this) {
            if (unfinished > executing) {
                ended = System.currentTimeMillis();
            }
            return Math.max(executing, unfinished) + others;
        }
    }

    private void tell() {
        int told = 0;
        try {
            while (true) {
                boolean brief;
                synchronized (this) {
                    while (!news && told == 0) {
                        wait();
                    }
                    if (!news) {
                        wait(LOOK);
                    }
                    brief = began;
                    began = false;
                    news = false;
                }
                int running = known();
                if (running == 0 && brief) {
                    running = 1; // it has ended already, and counts all the same
                } else if (running == 0 && told > 0) {
                    synchronized (this) {
                        if (!news) {
                            wait(LINGER);
                        }
                        if (news) {
                            continue;
                        }
                    }
                    running = known();
                }
                if (running != told) {
                    long last;
                    synchronized (this) {
                        last = ended;
                    }
                    events.send("operations", "running", running, "ended", last);
                    told = running;
                }
                if (running > 0) {
                    Thread.sleep(LINGER); // how many they are may change often
                }
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }
}
