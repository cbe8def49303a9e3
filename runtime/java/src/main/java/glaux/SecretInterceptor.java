package glaux;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;
import org.sparkproject.connect.grpc.Status;

/** Refuses every Spark Connect call that does not carry the session's secret. The socket's mode is the first lock, this is the second. */
final class SecretInterceptor implements ServerInterceptor {
    /** The metadata key that the server's proxy adds to each call. */
    static final Metadata.Key<String> KEY = Metadata.Key.of("x-glaux-session-secret", Metadata.ASCII_STRING_MARSHALLER);

    private final byte[] secret;

    SecretInterceptor(String secret) {
        this.secret = secret.getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
        String given = headers.get(KEY);
        if (given == null || !MessageDigest.isEqual(secret, given.getBytes(StandardCharsets.UTF_8))) {
            call.close(Status.UNAUTHENTICATED.withDescription("the call does not carry this session's secret"), new Metadata());
            return new ServerCall.Listener<Q>() {};
        }
        headers.removeAll(KEY);
        return next.startCall(call, headers);
    }
}
