package glaux;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;

/**
 * Gives the heap of a driver at rest back to the machine.
 *
 * <p>While there is work the heap keeps much room: with little, a large result costs five times its time in collections.
 * At rest, one collection with other limits of free space lets the JVM return the rest of it.
 */
final class Memory {
    private static final String LEAST = "MinHeapFreeRatio";
    private static final String MOST = "MaxHeapFreeRatio";

    private Memory() {}

    /** Collects, and shrinks the heap to little more than what is alive. Blocks for that long: every thread of the JVM stands still. */
    static void giveBack() {
        HotSpotDiagnosticMXBean jvm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        String least = jvm.getVMOption(LEAST).getValue();
        String most = jvm.getVMOption(MOST).getValue();
        try {
            jvm.setVMOption(LEAST, "5"); // the JVM wants the one not above the other at any time
            jvm.setVMOption(MOST, "15");
            System.gc();
        } finally {
            jvm.setVMOption(MOST, most);
            jvm.setVMOption(LEAST, least);
        }
    }
}
