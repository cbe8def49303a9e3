package glaux;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * The stream of events to the shim: one JSON object per line on file
 * descriptor 3. Safe for concurrent use. A shim that is gone is no error
 * here: the end of standard input ends the driver.
 */
final class Events {
    private final OutputStream out;

    Events(OutputStream out) {
        this.out = out;
    }

    /** Opens the descriptor that the shim passed. */
    static Events open() throws IOException {
        return new Events(new FileOutputStream("/dev/fd/3"));
    }

    /**
     * Sends one event.
     *
     * @param name what happened
     * @param fields keys and values in turn; a value is a String, Number, Boolean or null
     */
    void send(String name, Object... fields) {
        StringBuilder line = new StringBuilder(128);
        line.append("{\"ev\":");
        quote(line, name);
        for (int i = 0; i < fields.length; i += 2) {
            line.append(',');
            quote(line, (String) fields[i]);
            line.append(':');
            Object value = fields[i + 1];
            if (value instanceof Number || value instanceof Boolean || value == null) {
                line.append(value);
            } else {
                quote(line, value.toString());
            }
        }
        byte[] bytes = line.append("}\n").toString().getBytes(StandardCharsets.UTF_8);
        synchronized (this) {
            try {
                out.write(bytes);
                out.flush();
            } catch (IOException gone) {
                // Nobody listens any more; see the class comment.
            }
        }
    }

    private static void quote(StringBuilder to, String text) {
        to.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                to.append('\\').append(c);
            } else if (c < 0x20 || Character.isSurrogate(c)) {
                to.append(String.format("\\u%04x", (int) c));
            } else {
                to.append(c);
            }
        }
        to.append('"');
    }
}
