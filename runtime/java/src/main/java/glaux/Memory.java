package glaux;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.lang.reflect.Method;

/**
 * Gives the heap of a driver at rest back to the machine.
 *
 * <p>While there is work the heap keeps much room: with little, a large result costs five times its time in collections.
 * At rest, one collection with other limits of free space lets the JVM return the rest of it.
 */
final class Memory {
    private static final String LEAST = "MinHeapFreeRatio";
    private static final String MOST = "MaxHeapFreeRatio";

    /** What a heap takes beyond twice what is alive is worth a collection; less is not. */
    private static final long SMALL = 8L << 20;
    /** With so many bytes alive a collection stands in the way of what comes next. */
    private static final long MUCH = 1L << 30;

    private Memory() {}

    /**
     * Collects, and shrinks the heap to little more than what is alive, where that is worth it.
     * Blocks for that long, about a second for each GiB alive: every thread of the JVM stands still. What the C library keeps
     * for later goes back too.
     */
    static void giveBack() {
        try {
            long alive = alive();
            if (alive < MUCH && Runtime.getRuntime().totalMemory() > 2 * alive + SMALL) {
                shrink();
            }
            trim();
        } catch (RuntimeException refused) { // flags of the session's own may not go together with ours
            System.err.println("the heap is not given back: " + refused.getMessage());
        }
    }

    /** Has the JVM ask the C library for what it keeps; other systems' libraries do so by themselves. */
    private static void trim() {
        try {
            Class<?> commands = Class.forName("com.sun.management.internal.DiagnosticCommandImpl");
            Method instance = commands.getDeclaredMethod("getDiagnosticCommandMBean");
            Method execute = commands.getDeclaredMethod("executeDiagnosticCommand", String.class);
            instance.setAccessible(true);
            execute.setAccessible(true);
            execute.invoke(instance.invoke(null), "System.trim_native_heap");
        } catch (ReflectiveOperationException | RuntimeException | LinkageError another) {
            // a Java of another maker, or another system: nothing is lost but a few megabytes
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
            jvm.setVMOption(LEAST, lower(least, 2)); // the JVM wants the one not above the other at any time
            jvm.setVMOption(MOST, lower(most, 5));
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
