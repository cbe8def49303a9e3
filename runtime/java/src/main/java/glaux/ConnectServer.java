package glaux;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.kqueue.KQueueEventLoopGroup;
import io.netty.channel.kqueue.KQueueServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.Executors;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connect.service.SparkConnectInterceptorRegistry$;
import org.apache.spark.sql.connect.service.SparkConnectService;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.sparkproject.connect.grpc.Server;
import org.sparkproject.connect.grpc.netty.NettyServerBuilder;

/**
 * Spark Connect on a Unix socket. Spark's own plugin would listen on every
 * interface and ask nobody who they are.
 */
final class ConnectServer {
    private ConnectServer() {}

    /** Starts the server; the path appears once the socket has mode 0600. */
    static Server start(SparkContext context, String path, String secret, Events events) throws Exception {
        Path socket = Path.of(path);
        Path hidden = Path.of(path + "~");
        Files.deleteIfExists(hidden);
        boolean epoll = Epoll.isAvailable();
        EventLoopGroup boss = epoll ? new EpollEventLoopGroup(1) : new KQueueEventLoopGroup(1);
        EventLoopGroup workers = epoll ? new EpollEventLoopGroup(2) : new KQueueEventLoopGroup(2);
        Class<? extends ServerChannel> channel = epoll ? EpollServerDomainSocketChannel.class : KQueueServerDomainSocketChannel.class;
        NettyServerBuilder builder = NettyServerBuilder.forAddress(new DomainSocketAddress(hidden.toString()))
                .channelType(channel)
                .bossEventLoopGroup(boss)
                .workerEventLoopGroup(workers)
                .executor(Executors.newCachedThreadPool(ConnectServer::thread))
                // Spark's own default of spark.connect.grpc.maxInboundMessageSize, and room for the identity that the proxy adds.
                .maxInboundMessageSize((128 << 20) + (64 << 10))
                .addService(new SparkConnectService(false));
        SparkConnectInterceptorRegistry$.MODULE$.chainInterceptors(builder);
        builder.intercept(new AddressInterceptor());
        builder.intercept(new Activity(events));
        builder.intercept(new ContextInterceptor(context));
        builder.intercept(new SecretInterceptor(secret)); // the last one added is asked first
        Server server = builder.build().start();
        Files.setPosixFilePermissions(hidden, PosixFilePermissions.fromString("rw-------"));
        Files.move(hidden, socket, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        SparkConnectService$.MODULE$.server_$eq(server);
        return server;
    }

    /** Shows operations in the context's UI from now on. */
    static void follow(SparkContext context) {
        try {
            show(context);
        } catch (ReflectiveOperationException failed) { // code has stopped the context already
            System.err.println("Spark Connect is not shown in the UI: " + failed.getCause());
        }
    }

    /**
     * Makes a thread for calls. Without this it would inherit the driver's own SparkSession as its active one, on whose context
     * new Connect sessions would be made even after code has stopped that and started another.
     */
    private static Thread thread(Runnable work) {
        Thread made = new Thread(() -> {
            SparkSession.clearActiveSession();
            work.run();
        }, "glaux-connect");
        made.setDaemon(true);
        return made;
    }

    /** Adds what follows Connect in the context's UI. It is private in Spark, and called by its plugin. */
    static void show(SparkContext context) throws ReflectiveOperationException {
        var listener = SparkConnectService$.class.getDeclaredMethod("createListenerAndUI", SparkContext.class);
        listener.setAccessible(true);
        listener.invoke(SparkConnectService$.MODULE$, context);
    }
}
