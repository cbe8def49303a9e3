package glaux;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.xbean.asm9.ClassWriter;
import org.apache.xbean.asm9.Handle;
import org.apache.xbean.asm9.MethodVisitor;
import org.apache.xbean.asm9.Opcodes;
import org.apache.xbean.asm9.Type;

/**
 * One serialisable lambda as a class of its own: what LambdaMetafactory would make of its call site, member for member,
 * so that what looks into lambdas (Spark's closure cleaner, Java's serialisation) finds in it what it expects.
 */
final class LambdaClass {
    /** The method that takes what the lambda captures and returns it; its descriptor is the call site's. */
    static final String MAKE = "make";

    private static final String ONLY = "ONLY";
    private static final String OBJECT = "java/lang/Object";
    private static final String SERIALIZED = "java/lang/invoke/SerializedLambda";

    /** The flags of LambdaMetafactory.altMetafactory; they decide which arguments follow. */
    private static final int SERIALIZABLE = 1;
    private static final int MARKERS = 2;
    private static final int BRIDGES = 4;

    private final String host;
    private final String name;
    private final String method;
    private final String site;
    private final Type[] captured;
    private final Type implemented;
    private final Handle body;
    private final Type instantiated;
    private final Set<String> interfaces = new LinkedHashSet<>();
    private final Set<Type> signatures = new LinkedHashSet<>();

    private LambdaClass(String host, String name, String method, String site, Object[] given) {
        this.host = host;
        this.name = name;
        this.method = method;
        this.site = site;
        captured = Type.getArgumentTypes(site);
        implemented = (Type) given[0];
        body = (Handle) given[1];
        instantiated = (Type) given[2];
        int flags = (Integer) given[3];
        int next = 4;
        interfaces.add(Type.getReturnType(site).getInternalName());
        if ((flags & MARKERS) != 0) {
            int end = next + 1 + (Integer) given[next];
            for (next++; next < end; next++) {
                interfaces.add(((Type) given[next]).getInternalName());
            }
        }
        interfaces.add("java/io/Serializable");
        signatures.add(implemented);
        if ((flags & BRIDGES) != 0) {
            int end = next + 1 + (Integer) given[next];
            for (next++; next < end; next++) {
                signatures.add((Type) given[next]);
            }
        }
    }

    /**
     * Returns the lambda of a call site of altMetafactory, or null where it is none that a class can be made of: it is not
     * serialisable, its body is not a static method of its host that the package may call, or its values would have to be
     * boxed on the way. Nor is one of another library's interface than Scala's: Java may call it, and Spark names jobs after
     * the last frame above Java's, which a lambda's of Java never is. access are the host's methods, name and descriptor,
     * with their flags.
     */
    static LambdaClass of(String host, String name, Map<String, Integer> access, String method, String site, Object[] given) {
        if (((Integer) given[3] & SERIALIZABLE) == 0 || !Type.getReturnType(site).getInternalName().startsWith("scala/")) {
            return null;
        }
        LambdaClass lambda = new LambdaClass(host, name, method, site, given);
        Integer flags = access.get(lambda.body.getName() + lambda.body.getDesc());
        boolean callable = lambda.body.getTag() == Opcodes.H_INVOKESTATIC && lambda.body.getOwner().equals(host) && flags != null && (flags & Opcodes.ACC_PRIVATE) == 0;
        return callable && lambda.signatures.stream().allMatch(lambda::fits) ? lambda : null;
    }

    private boolean fits(Type signature) {
        List<Type> passed = new ArrayList<>(Arrays.asList(captured));
        passed.addAll(Arrays.asList(signature.getArgumentTypes()));
        Type[] taken = Type.getArgumentTypes(body.getDesc());
        if (passed.size() != taken.length || !Arrays.equals(captured, Arrays.copyOf(taken, captured.length))) {
            return false;
        }
        for (int i = 0; i < taken.length; i++) {
            if (!same(passed.get(i), taken[i])) {
                return false;
            }
        }
        return signature.getReturnType().equals(Type.VOID_TYPE) || same(signature.getReturnType(), Type.getReturnType(body.getDesc()));
    }

    /** Says that no boxing is needed between the two. */
    private static boolean same(Type a, Type b) {
        return a.equals(b) || a.getSort() >= Type.ARRAY && b.getSort() >= Type.ARRAY;
    }

    String name() {
        return name;
    }

    /** Returns the class file. It has no branches, so it needs no stack maps. */
    byte[] toBytes() {
        ClassWriter out = new ClassWriter(ClassWriter.COMPUTE_MAXS);
        out.visit(Opcodes.V1_8, Opcodes.ACC_FINAL | Opcodes.ACC_SUPER | Opcodes.ACC_SYNTHETIC, name, null, OBJECT, interfaces.toArray(new String[0]));
        for (int i = 0; i < captured.length; i++) {
            out.visitField(Opcodes.ACC_PRIVATE | Opcodes.ACC_FINAL, field(i), captured[i].getDescriptor(), null, null).visitEnd();
        }
        constructor(out);
        if (captured.length == 0) {
            only(out);
        }
        make(out);
        for (Type signature : signatures) {
            function(out, signature);
        }
        writeReplace(out);
        out.visitEnd();
        return out.toByteArray();
    }

    /** What a captured value's field is called; Spark's closure cleaner knows the name of the first. */
    private static String field(int i) {
        return "arg$" + (i + 1);
    }

    private void constructor(ClassWriter out) {
        MethodVisitor code = out.visitMethod(Opcodes.ACC_PRIVATE, "<init>", constructorType(), null, null);
        code.visitCode();
        code.visitVarInsn(Opcodes.ALOAD, 0);
        code.visitMethodInsn(Opcodes.INVOKESPECIAL, OBJECT, "<init>", "()V", false);
        int slot = 1;
        for (int i = 0; i < captured.length; i++) {
            code.visitVarInsn(Opcodes.ALOAD, 0);
            code.visitVarInsn(captured[i].getOpcode(Opcodes.ILOAD), slot);
            code.visitFieldInsn(Opcodes.PUTFIELD, name, field(i), captured[i].getDescriptor());
            slot += captured[i].getSize();
        }
        end(code, Opcodes.RETURN);
    }

    /** A lambda that captures nothing is one object. */
    private void only(ClassWriter out) {
        out.visitField(Opcodes.ACC_PRIVATE | Opcodes.ACC_STATIC | Opcodes.ACC_FINAL, ONLY, "L" + name + ";", null, null).visitEnd();
        MethodVisitor code = out.visitMethod(Opcodes.ACC_STATIC, "<clinit>", "()V", null, null);
        code.visitCode();
        create(code);
        code.visitFieldInsn(Opcodes.PUTSTATIC, name, ONLY, "L" + name + ";");
        end(code, Opcodes.RETURN);
    }

    private void make(ClassWriter out) {
        MethodVisitor code = out.visitMethod(Opcodes.ACC_STATIC, MAKE, site, null, null);
        code.visitCode();
        if (captured.length == 0) {
            code.visitFieldInsn(Opcodes.GETSTATIC, name, ONLY, "L" + name + ";");
        } else {
            create(code);
        }
        end(code, Opcodes.ARETURN);
    }

    /** Creates one of the method's own arguments. */
    private void create(MethodVisitor code) {
        code.visitTypeInsn(Opcodes.NEW, name);
        code.visitInsn(Opcodes.DUP);
        int slot = 0;
        for (Type value : captured) {
            code.visitVarInsn(value.getOpcode(Opcodes.ILOAD), slot);
            slot += value.getSize();
        }
        code.visitMethodInsn(Opcodes.INVOKESPECIAL, name, "<init>", constructorType(), false);
    }

    private String constructorType() {
        return Type.getMethodDescriptor(Type.VOID_TYPE, captured);
    }

    /** The interface's method, or a bridge to it: calls the body with what was captured and what is given. */
    private void function(ClassWriter out, Type signature) {
        MethodVisitor code = out.visitMethod(Opcodes.ACC_PUBLIC, method, signature.getDescriptor(), null, null);
        code.visitCode();
        for (int i = 0; i < captured.length; i++) {
            captured(code, i);
        }
        Type[] taken = Type.getArgumentTypes(body.getDesc());
        int slot = 1;
        int at = captured.length;
        for (Type given : signature.getArgumentTypes()) {
            code.visitVarInsn(given.getOpcode(Opcodes.ILOAD), slot);
            slot += given.getSize();
            Type wanted = taken[at++];
            if (!wanted.equals(given) && !wanted.getInternalName().equals(OBJECT)) {
                code.visitTypeInsn(Opcodes.CHECKCAST, wanted.getInternalName());
            }
        }
        code.visitMethodInsn(Opcodes.INVOKESTATIC, host, body.getName(), body.getDesc(), body.isInterface());
        Type result = signature.getReturnType();
        if (result.equals(Type.VOID_TYPE)) {
            switch (Type.getReturnType(body.getDesc()).getSize()) {
                case 1 -> code.visitInsn(Opcodes.POP);
                case 2 -> code.visitInsn(Opcodes.POP2);
                default -> { }
            }
        }
        end(code, result.getOpcode(Opcodes.IRETURN));
    }

    /** What the lambda is written as; it is read by its host's $deserializeLambda$, which is as it was. */
    private void writeReplace(ClassWriter out) {
        MethodVisitor code = out.visitMethod(Opcodes.ACC_PRIVATE | Opcodes.ACC_FINAL, "writeReplace", "()Ljava/lang/Object;", null, null);
        code.visitCode();
        code.visitTypeInsn(Opcodes.NEW, SERIALIZED);
        code.visitInsn(Opcodes.DUP);
        code.visitLdcInsn(Type.getObjectType(host));
        code.visitLdcInsn(Type.getReturnType(site).getInternalName());
        code.visitLdcInsn(method);
        code.visitLdcInsn(implemented.getDescriptor());
        code.visitIntInsn(Opcodes.BIPUSH, body.getTag());
        code.visitLdcInsn(body.getOwner());
        code.visitLdcInsn(body.getName());
        code.visitLdcInsn(body.getDesc());
        code.visitLdcInsn(instantiated.getDescriptor());
        code.visitIntInsn(Opcodes.SIPUSH, captured.length);
        code.visitTypeInsn(Opcodes.ANEWARRAY, OBJECT);
        for (int i = 0; i < captured.length; i++) {
            code.visitInsn(Opcodes.DUP);
            code.visitIntInsn(Opcodes.SIPUSH, i);
            captured(code, i);
            box(code, captured[i]);
            code.visitInsn(Opcodes.AASTORE);
        }
        String string = "Ljava/lang/String;";
        code.visitMethodInsn(Opcodes.INVOKESPECIAL, SERIALIZED, "<init>", "(Ljava/lang/Class;" + string.repeat(3) + "I" + string.repeat(4) + "[Ljava/lang/Object;)V", false);
        end(code, Opcodes.ARETURN);
    }

    private void captured(MethodVisitor code, int i) {
        code.visitVarInsn(Opcodes.ALOAD, 0);
        code.visitFieldInsn(Opcodes.GETFIELD, name, field(i), captured[i].getDescriptor());
    }

    private static void box(MethodVisitor code, Type value) {
        String box = switch (value.getSort()) {
            case Type.BOOLEAN -> "java/lang/Boolean";
            case Type.CHAR -> "java/lang/Character";
            case Type.BYTE -> "java/lang/Byte";
            case Type.SHORT -> "java/lang/Short";
            case Type.INT -> "java/lang/Integer";
            case Type.LONG -> "java/lang/Long";
            case Type.FLOAT -> "java/lang/Float";
            case Type.DOUBLE -> "java/lang/Double";
            default -> null;
        };
        if (box != null) {
            code.visitMethodInsn(Opcodes.INVOKESTATIC, box, "valueOf", "(" + value.getDescriptor() + ")L" + box + ";", false);
        }
    }

    private static void end(MethodVisitor code, int instruction) {
        code.visitInsn(instruction);
        code.visitMaxs(0, 0);
        code.visitEnd();
    }
}
