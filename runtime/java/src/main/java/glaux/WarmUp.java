package glaux;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.kqueue.KQueueDomainSocketChannel;
import io.netty.channel.kqueue.KQueueEventLoopGroup;
import io.netty.channel.unix.DomainSocketAddress;
import java.lang.reflect.Field;
import java.util.Arrays;
import java.util.Iterator;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.connect.proto.AnalyzePlanRequest;
import org.apache.spark.connect.proto.ConfigRequest;
import org.apache.spark.connect.proto.ExecutePlanRequest;
import org.apache.spark.connect.proto.ExecutePlanResponse;
import org.apache.spark.connect.proto.Plan;
import org.apache.spark.connect.proto.ReattachOptions;
import org.apache.spark.connect.proto.Relation;
import org.apache.spark.connect.proto.ReleaseExecuteRequest;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc;
import org.apache.spark.connect.proto.UserContext;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.SQLExecution$;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.sparkproject.connect.grpc.ManagedChannel;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.netty.NettyChannelBuilder;
import org.sparkproject.connect.grpc.stub.MetadataUtils;

/** The first queries of a driver that waits, so that they are not a session's. */
final class WarmUp {
    /** What its jobs are called where they can be seen. */
    static final String NAME = "Warm-up of the driver, before the session began";

    /** The user of its Spark Connect operations, part of what those jobs are called. */
    private static final String USER = "glaux-warm-up";

    private static final String[] QUERIES = {
        "SELECT 1",
        "SELECT count(*) FROM range(1000)",
        "SELECT id % 7 AS k, count(*), sum(id) FROM range(10000) GROUP BY id % 7 ORDER BY k LIMIT 5",
        "SELECT a.id FROM range(100) a JOIN range(100) b ON a.id = b.id WHERE a.id > 10",
    };

    private WarmUp() {}

    /** Runs queries in the session. */
    static void queries(SparkSession session) {
        session.sparkContext().setJobGroup(Progress.WARM_UP, NAME, false);
        for (int round = 0; round < 2; round++) {
            session.range(10).count();
            for (String query : QUERIES) {
                session.sql(query).collectAsList();
            }
        }
        session.sparkContext().clearJobGroup();
    }

    /** Makes a context of its own, runs queries in it and ends it: what is left is code that is loaded and compiled. */
    static void andForget(SparkConf given) throws Exception {
        SparkConf conf = new SparkConf(false);
        for (String name : new String[] {"spark.master", "spark.driver.host", "spark.driver.bindAddress", "spark.local.dir", "spark.authenticate", "spark.authenticate.secret"}) {
            if (given.contains(name)) {
                conf.set(name, given.get(name));
            }
        }
        conf.set("spark.app.name", USER).set("spark.ui.enabled", "false").set("spark.ui.showConsoleProgress", "false");
        conf.set("spark.sql.warehouse.dir", System.getProperty("java.io.tmpdir") + "/" + USER);
        SparkContext context = new SparkContext(conf);
        SparkSession session = SparkSession.builder().sparkContext(context).getOrCreate();
        queries(session);
        session.stop();
        SparkSession.clearActiveSession();
        SparkSession.clearDefaultSession();
        FileSystem.closeAll(); // they are made anew, with the session's options
        UserGroupInformation.reset();
        numberFromZero();
    }

    /** Has the session's SQL executions, which Spark numbers across contexts, begin as in a JVM of its own. */
    private static void numberFromZero() throws ReflectiveOperationException {
        Field next = SQLExecution$.class.getDeclaredField("_nextExecutionId");
        next.setAccessible(true);
        ((AtomicLong) next.get(SQLExecution$.MODULE$)).set(0);
    }

    /** Gives Hadoop's own configuration, which was made during the warm-up, the session's options. */
    static void configure(SparkConf session) {
        Configuration hadoop = SparkHadoopUtil.get().conf();
        for (scala.Tuple2<String, String> property : session.getAllWithPrefix("spark.hadoop.")) {
            hadoop.set(property._1(), property._2());
        }
        UserGroupInformation.setConfiguration(hadoop);
    }

    /** Calls Spark Connect on its socket as a client does. */
    static void connect(String path, String secret) throws Exception {
        boolean epoll = Epoll.isAvailable();
        EventLoopGroup group = epoll ? new EpollEventLoopGroup(1) : new KQueueEventLoopGroup(1);
        Metadata headers = new Metadata();
        headers.put(SecretInterceptor.KEY, secret);
        ManagedChannel channel = NettyChannelBuilder.forAddress(new DomainSocketAddress(path))
                .channelType(epoll ? EpollDomainSocketChannel.class : KQueueDomainSocketChannel.class)
                .eventLoopGroup(group)
                .usePlaintext()
                .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
                .build();
        String session = UUID.randomUUID().toString();
        UserContext user = UserContext.newBuilder().setUserId(USER).build();
        try {
            SparkConnectServiceGrpc.SparkConnectServiceBlockingStub stub = SparkConnectServiceGrpc.newBlockingStub(channel);
            stub.config(ConfigRequest.newBuilder().setSessionId(session).setUserContext(user)
                    .setOperation(ConfigRequest.Operation.newBuilder().setGet(ConfigRequest.Get.newBuilder().addKeys("spark.sql.session.timeZone")))
                    .build());
            for (int round = 0; round < 2; round++) {
                for (String query : Arrays.asList(QUERIES)) {
                    Plan plan = Plan.newBuilder().setRoot(Relation.newBuilder().setSql(org.apache.spark.connect.proto.SQL.newBuilder().setQuery(query))).build();
                    stub.analyzePlan(AnalyzePlanRequest.newBuilder().setSessionId(session).setUserContext(user)
                            .setSchema(AnalyzePlanRequest.Schema.newBuilder().setPlan(plan)).build());
                    execute(stub, session, user, plan);
                }
            }
        } finally {
            channel.shutdownNow();
            group.shutdownGracefully();
            SparkConnectService$.MODULE$.invalidateSession(USER, session);
        }
    }

    private static void execute(SparkConnectServiceGrpc.SparkConnectServiceBlockingStub stub, String session, UserContext user, Plan plan) {
        String operation = UUID.randomUUID().toString();
        Iterator<ExecutePlanResponse> responses = stub.executePlan(ExecutePlanRequest.newBuilder().setSessionId(session).setUserContext(user)
                .setOperationId(operation).setPlan(plan)
                .addRequestOptions(ExecutePlanRequest.RequestOption.newBuilder().setReattachOptions(ReattachOptions.newBuilder().setReattachable(true)))
                .build());
        while (responses.hasNext()) {
            responses.next();
        }
        stub.releaseExecute(ReleaseExecuteRequest.newBuilder().setSessionId(session).setUserContext(user)
                .setOperationId(operation).setReleaseAll(ReleaseExecuteRequest.ReleaseAll.newBuilder()).build());
    }
}
