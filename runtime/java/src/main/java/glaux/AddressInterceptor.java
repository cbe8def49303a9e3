package glaux;

import java.util.regex.Pattern;
import org.apache.spark.connect.proto.ConfigRequest;
import org.apache.spark.connect.proto.KeyValue;
import org.sparkproject.connect.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;

/**
 * Takes the token out of the address that a client is connected to. A client sets it, as it was given, as the property
 * spark.remote of its session; Spark hands that on with every job and writes it into the event log, where nothing is redacted.
 */
final class AddressInterceptor implements ServerInterceptor {
    private static final Pattern TOKEN = Pattern.compile("(?i)((?:^|[;/])(?:token|authorization|x-[a-z0-9-]*auth[a-z0-9-]*)=)[^;]*");

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
        if (!call.getMethodDescriptor().getBareMethodName().equals("Config")) {
            return next.startCall(call, headers);
        }
        return new SimpleForwardingServerCallListener<Q>(next.startCall(call, headers)) {
            @Override
            @SuppressWarnings("unchecked") // what replaces a message is of its class
            public void onMessage(Q message) {
                super.onMessage(message instanceof ConfigRequest ? (Q) without((ConfigRequest) message) : message);
            }
        };
    }

    private static ConfigRequest without(ConfigRequest request) {
        if (!request.getOperation().hasSet()) {
            return request;
        }
        ConfigRequest.Builder changed = request.toBuilder();
        for (KeyValue.Builder pair : changed.getOperationBuilder().getSetBuilder().getPairsBuilderList()) {
            if (pair.hasValue() && pair.getValue().startsWith("sc://")) {
                pair.setValue(hidden(pair.getValue()));
            }
        }
        return changed.build();
    }

    /** The address without what a client proves itself with. */
    static String hidden(String address) {
        return TOKEN.matcher(address).replaceAll("$1(redacted)");
    }
}
