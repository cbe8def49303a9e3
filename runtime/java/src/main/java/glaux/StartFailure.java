package glaux;

import java.lang.reflect.InvocationTargetException;
import java.util.Map;
import java.util.concurrent.ExecutionException;

/** Why the driver cannot start, as a sentence for the person who asked for the session. */
final class StartFailure extends Exception {
    StartFailure(String sentence, Throwable cause) {
        super(sentence, cause);
    }

    /** Explains a failure of Spark itself, naming the property that is to blame where the message does not. */
    static StartFailure of(Throwable thrown, Map<String, String> given) {
        if (thrown instanceof StartFailure) {
            return (StartFailure) thrown;
        }
        Throwable cause = root(thrown);
        if (cause instanceof StartFailure) {
            return (StartFailure) cause;
        }
        String text = text(cause);
        StringBuilder blame = new StringBuilder();
        for (Map.Entry<String, String> property : given.entrySet()) {
            String key = property.getKey();
            if (property.getValue().length() >= 2 && mentions(text, property.getValue()) && !text.contains(key)) {
                blame.append(blame.length() == 0 ? " (" : ", ").append(key).append(" is \"").append(property.getValue()).append('"');
            }
        }
        if (blame.length() > 0) {
            blame.append(')');
        }
        return new StartFailure("Spark cannot start: " + text + blame, thrown);
    }

    /** The first line of a throwable's message, with its kind where the message alone says little. */
    static String text(Throwable cause) {
        String message = cause.getMessage();
        String kind = cause.getClass().getSimpleName();
        if (message == null || message.isBlank()) {
            return kind;
        }
        String line = message.strip().lines().findFirst().orElse(kind);
        if (cause instanceof IllegalArgumentException && !(cause instanceof NumberFormatException) || cause instanceof org.apache.spark.SparkException) {
            return line;
        }
        return kind + ": " + line;
    }

    private static boolean mentions(String text, String value) {
        int at = text.indexOf(value);
        while (at >= 0) {
            boolean left = at == 0 || !Character.isLetterOrDigit(text.charAt(at - 1));
            int end = at + value.length();
            if (left && (end == text.length() || !Character.isLetterOrDigit(text.charAt(end)))) {
                return true;
            }
            at = text.indexOf(value, at + 1);
        }
        return false;
    }

    private static Throwable root(Throwable thrown) {
        Throwable at = thrown;
        while (at.getCause() != null && at.getCause() != at
                && (at instanceof InvocationTargetException || at instanceof ExecutionException || at instanceof ExceptionInInitializerError || at.getMessage() == null
                        || !(at instanceof org.apache.spark.SparkException))) {
            at = at.getCause();
        }
        return at;
    }
}
