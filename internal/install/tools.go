package install

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// javaInfo is a Java that was asked what it is.
type javaInfo struct {
	program string
	major   int
	version string // the VM's full version; an archive is good for this one only
}

// opens are the packages that Spark on Java 17 reaches into; the list is its own (JavaModuleOptions).
var opens = [...]string{
	"java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util", "java.util.concurrent",
	"java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar",
}

// flags returns the JVM flags of a session's driver, heap and archive apart.
func (j javaInfo) flags() []string {
	flags := []string{"-XX:+IgnoreUnrecognizedVMOptions"}
	for _, p := range opens {
		flags = append(flags, "--add-opens=java.base/"+p+"=ALL-UNNAMED")
	}
	return append(flags,
		"--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
		"--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED", // glaux.Memory
		"-Djdk.reflect.useDirectMethodHandle=false",
		// Small drivers: one collector thread. While there is work the heap has room, or results are mostly
		// collections; a driver at rest gives it back (glaux.Memory).
		"-XX:+UseSerialGC", "-XX:InitialHeapSize=48m", "-XX:MinHeapSize=16m", "-XX:NewRatio=4", "-XX:MinHeapFreeRatio=75", "-XX:MaxHeapFreeRatio=85", "-XX:-ShrinkHeapInSteps",
		// Map the archive at its own address: sessions share its pages.
		"-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0",
		// The optimising compiler waits ten times longer: a session's first minute is mostly code that runs a few
		// thousand times. A quarter less CPU and wall time to the first result (make bench); long work is not slower.
		"-XX:Tier4InvocationThreshold=50000", "-XX:Tier4MinInvocationThreshold=6000",
		"-XX:Tier4CompileThreshold=150000", "-XX:Tier4BackEdgeThreshold=400000",
		"-Dlog4j2.disableJmx=true",
		"-XX:-UsePerfData", // a file in /tmp for tools that nobody attaches
	)
}

// AskJava runs a java program and returns its full path, major version and the VM's version string.
func AskJava(ctx context.Context, program string) (path string, major int, version string, err error) {
	j, err := askJava(ctx, program)
	return j.program, j.major, j.version, err
}

func askJava(ctx context.Context, program string) (javaInfo, error) {
	if program == "" {
		program = "java"
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return javaInfo{}, fmt.Errorf("cannot find Java (%s): %w", program, err)
	}
	out, err := command(ctx, "", found, "-XshowSettings:properties", "-version")
	if err != nil {
		return javaInfo{}, fmt.Errorf("cannot ask Java for its version: %w", err)
	}
	var j javaInfo
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		switch key {
		case "java.home":
			j.program = filepath.Join(value, "bin", "java")
		case "java.vm.version":
			j.version = value
		case "java.specification.version":
			j.major, _ = strconv.Atoi(value)
		}
	}
	if j.program == "" || j.version == "" {
		return javaInfo{}, fmt.Errorf("cannot understand what %s says of its version", found)
	}
	return j, nil
}

// AskPython runs a python program and returns the base interpreter's path and "major.minor".
func AskPython(ctx context.Context, program string) (path, version string, err error) {
	if program == "" {
		program = "python3.11"
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", "", fmt.Errorf("cannot find Python (%s): %w", program, err)
	}
	out, err := command(ctx, "", found, "-I", "-c", "import sys, venv, ensurepip; print(sys._base_executable); print('%d.%d' % sys.version_info[:2])")
	if err != nil {
		return "", "", fmt.Errorf("cannot use Python (it needs its venv module): %w", err)
	}
	lines := strings.Fields(out)
	if len(lines) != 2 {
		return "", "", fmt.Errorf("cannot understand what %s says of its version", found)
	}
	return lines[0], lines[1], nil
}

// findTools looks for Java and Python and refuses other versions.
func (in *installer) findTools(ctx context.Context) error {
	var err error
	if in.java, err = askJava(ctx, in.Java); err != nil {
		return err
	}
	if in.java.major != in.pins.Java {
		return fmt.Errorf("cannot use Java %d (%s): Spark %s needs Java %d", in.java.major, in.java.program, in.pins.Spark, in.pins.Java)
	}
	var version string
	if in.python, version, err = AskPython(ctx, in.Python); err != nil {
		return err
	}
	if version != in.pins.Python {
		return fmt.Errorf("cannot use Python %s (%s): sessions run on Python %s", version, in.python, in.pins.Python)
	}
	return nil
}
