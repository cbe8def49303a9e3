package glaux;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;

/**
 * Shows the Spark UIs of sessions that are over, each on a loopback port of its own. It is Spark's history server without
 * its front: that one reads every log of a directory, finds applications by the ids that the logs themselves claim, and
 * shows all of them to everybody; here a session's UI knows that session alone, under the paths that it had while it ran.
 *
 * <p>Commands come as JSON lines on standard input: secret (which every request has to carry; before all else), open (a key
 * and the directory of its event logs) and close; events go as JSON lines to file descriptor 3: for an open, with its number,
 * ui (port), none (nothing to show) or uiFailed (error). The end of standard input ends the process.
 */
public final class HistoryServer {
    private static final int READERS = 2;

    private final Events events;
    private final SparkConf conf = Pages.settings(new SparkConf(false));
    private final Map<String, EndedUi> open = new HashMap<>(); // guarded by itself
    private final ExecutorService readers = Executors.newFixedThreadPool(READERS, work -> {
        Thread thread = new Thread(work, "glaux-history");
        thread.setDaemon(true);
        return thread;
    });

    private HistoryServer(Events events) {
        this.events = events;
    }

    /** Serves until standard input ends. */
    public static void main(String[] args) {
        int status = 0;
        try {
            new HistoryServer(Events.open()).serve();
        } catch (Throwable failed) {
            failed.printStackTrace();
            status = 1;
        }
        Runtime.getRuntime().halt(status); // nothing is to be kept
    }

    private void serve() throws IOException {
        // The listener of Spark Connect asks the environment of the process for settings, and for nothing else.
        SparkEnv.set(new SparkEnv("history", null, null, null, null, null, null, null, null, null, null, null, null, conf));
        events.send("ready");
        ObjectMapper json = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode command = json.readTree(line);
            String key = command.path("key").asText();
            switch (command.path("op").asText()) {
                case "secret":
                    SecretFilter.tell(command.path("secret").asText());
                    break;
                case "open":
                    readers.execute(() -> open(command.path("n").asLong(), key, Path.of(command.path("dir").asText())));
                    break;
                case "close":
                    close(key);
                    break;
                default:
            }
        }
    }

    private void open(long number, String key, Path dir) {
        try {
            EndedUi ui;
            synchronized (open) {
                ui = open.get(key);
            }
            if (ui == null) {
                ui = EndedUi.read(conf, dir);
                if (ui == null) {
                    events.send("none", "n", number);
                    return;
                }
                synchronized (open) {
                    open.put(key, ui); // the server opens a key once at a time
                }
            }
            events.send("ui", "n", number, "port", ui.port());
        } catch (OutOfMemoryError full) {
            throw full; // -XX:+ExitOnOutOfMemoryError has ended the process already
        } catch (Throwable failed) {
            failed.printStackTrace();
            events.send("uiFailed", "n", number, "error", StartFailure.text(failed));
        }
    }

    private void close(String key) {
        EndedUi ui;
        synchronized (open) {
            ui = open.remove(key);
        }
        if (ui != null) {
            ui.stop();
        }
    }
}
