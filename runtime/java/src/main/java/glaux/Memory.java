package glaux;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;

/**
 * Gives the heap of a driver at rest back to the machine.
 *
 * <p>While there is work the heap keeps much room: with little, a large result costs five times its time in collections.
 * At rest, one collection with other limits of free space lets the JVM return the rest of it.
 */
final class Memory {
    private static final String LEAST = "MinHeapFreeRatio";
    private static final String MOST = "MaxHeapFreeRatio";

    /** A heap of so many bytes is not worth a collection. */
    private static final long SMALL = 128L << 20;
    /** With so many bytes alive a collection stands in the way of what comes next. */
    private static final long MUCH = 1L << 30;

    private Memory() {}

    /**
     * Collects, and shrinks the heap to little more than what is alive, where that is worth it.
     * Blocks for that long, about a second for each GiB alive: every thread of the JVM stands still.
     */
    static void giveBack() {
        try {
            if (Runtime.getRuntime().totalMemory() > SMALL && alive() < MUCH) {
                shrink();
            }
        } catch (RuntimeException refused) { // flags of the session's own may not go together with ours
            System.err.println("the heap is not given back: " + refused.getMessage());
        }
    }

    /** What the last collections left, bytes. */
    private static long alive() {
        long bytes = 0;
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getType() == MemoryType.HEAP && pool.getCollectionUsage() != null) {
                bytes += pool.getCollectionUsage().getUsed();
            }
        }
        return bytes;
    }

    private static void shrink() {
        HotSpotDiagnosticMXBean jvm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        String least = jvm.getVMOption(LEAST).getValue();
        String most = jvm.getVMOption(MOST).getValue();
        try {
            jvm.setVMOption(LEAST, lower(least, 5)); // the JVM wants the one not above the other at any time
            jvm.setVMOption(MOST, lower(most, 15));
            System.gc();
        } finally {
            jvm.setVMOption(MOST, most);
            jvm.setVMOption(LEAST, least);
        }
    }

    private static String lower(String percent, int most) {
        return String.valueOf(Math.min(Integer.parseInt(percent), most));
    }
}
