package glaux;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.apache.xbean.asm9.ClassReader;
import org.apache.xbean.asm9.ClassVisitor;
import org.apache.xbean.asm9.ClassWriter;
import org.apache.xbean.asm9.Handle;
import org.apache.xbean.asm9.MethodVisitor;
import org.apache.xbean.asm9.Opcodes;

/**
 * Writes serialisable lambdas down as classes. Java makes the class of a lambda when it is first reached, and Java 17's
 * archive keeps none that can be serialised, as all of Scala's can: a session's start would make thousands, a quarter of
 * its time. As classes in a jar they are in the archive like any other, and drivers share them.
 *
 * <p>{@code java -cp CLASSPATH glaux.LambdaClasses DUMP JAR}, where DUMP is what -Djdk.internal.lambda.dumpProxyClasses
 * wrote in a session with the same class path. JAR gets the classes of those lambdas, and the classes that they are in
 * with calls in the place of the call sites; it goes before the jars that those come from.
 */
public final class LambdaClasses {
    private static final int API = Opcodes.ASM9;

    /** Between the name of a class and the number of one of its lambdas, as Java calls them. */
    private static final String LAMBDA = "$$Lambda$";

    /** The same for those that are written here. Not "$anonfun$", by which Spark knows closures of older compilers. */
    private static final String CLOSURE = "$$Closure$";

    private final Map<String, byte[]> classes = new TreeMap<>();
    private int lambdas;

    private LambdaClasses() {}

    public static void main(String[] argv) throws IOException {
        LambdaClasses all = new LambdaClasses();
        for (Map.Entry<String, Set<String>> host : bodies(Path.of(argv[0])).entrySet()) {
            try (InputStream original = ClassLoader.getSystemResourceAsStream(host.getKey() + ".class")) {
                if (original != null) { // null: Spark has generated or the interpreter compiled it
                    all.rewrite(new ClassReader(original), host.getValue());
                }
            }
        }
        all.write(Path.of(argv[1]));
        System.out.println(all.lambdas);
    }

    /** Returns, by class, the methods (name and descriptor) that are bodies of lambdas of which Java has dumped the class. */
    private static Map<String, Set<String>> bodies(Path dump) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.walk(dump)) {
            files = found.filter(file -> file.toString().endsWith(".class")).toList();
        }
        Map<String, Set<String>> bodies = new TreeMap<>();
        for (Path file : files) {
            ClassReader lambda = new ClassReader(Files.readAllBytes(file));
            String host = lambda.getClassName().substring(0, lambda.getClassName().indexOf(LAMBDA));
            Set<String> called = bodies.computeIfAbsent(host, none -> new HashSet<>());
            lambda.accept(new ClassVisitor(API) {
                @Override
                public MethodVisitor visitMethod(int access, String name, String type, String signature, String[] exceptions) {
                    return new MethodVisitor(API) {
                        @Override
                        public void visitMethodInsn(int how, String owner, String name, String type, boolean isInterface) {
                            if (owner.equals(host)) {
                                called.add(name + type);
                            }
                        }
                    };
                }
            }, 0);
        }
        return bodies;
    }

    /** Makes classes of the lambdas with these bodies, and keeps the class as it is then if there is one. */
    private void rewrite(ClassReader original, Set<String> bodies) {
        String host = original.getClassName();
        Map<String, Integer> methods = new HashMap<>();
        original.accept(new ClassVisitor(API) {
            @Override
            public MethodVisitor visitMethod(int access, String name, String type, String signature, String[] exceptions) {
                methods.put(name + type, access);
                return null;
            }
        }, ClassReader.SKIP_CODE);
        ClassWriter changed = new ClassWriter(original, 0);
        int before = lambdas;
        original.accept(new ClassVisitor(API, changed) {
            @Override
            public MethodVisitor visitMethod(int access, String name, String type, String signature, String[] exceptions) {
                return new MethodVisitor(API, super.visitMethod(access, name, type, signature, exceptions)) {
                    @Override
                    public void visitInvokeDynamicInsn(String name, String type, Handle bootstrap, Object... given) {
                        LambdaClass lambda = null;
                        if (bootstrap.getOwner().equals("java/lang/invoke/LambdaMetafactory") && bootstrap.getName().equals("altMetafactory")) {
                            Handle body = (Handle) given[1];
                            if (bodies.contains(body.getName() + body.getDesc())) {
                                lambda = LambdaClass.of(host, host + CLOSURE + (lambdas - before), methods, name, type, given);
                            }
                        }
                        if (lambda == null) {
                            super.visitInvokeDynamicInsn(name, type, bootstrap, given);
                            return;
                        }
                        classes.put(lambda.name(), lambda.toBytes());
                        lambdas++;
                        super.visitMethodInsn(Opcodes.INVOKESTATIC, lambda.name(), LambdaClass.MAKE, type, false);
                    }
                };
            }
        }, 0);
        if (lambdas > before) {
            classes.put(host, changed.toByteArray());
        }
    }

    private void write(Path jar) throws IOException {
        try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(jar))) {
            for (Map.Entry<String, byte[]> made : classes.entrySet()) {
                ZipEntry entry = new ZipEntry(made.getKey() + ".class");
                entry.setTime(0); // the same lambdas give the same jar
                out.putNextEntry(entry);
                out.write(made.getValue());
                out.closeEntry();
            }
        }
    }
}
