package machine

import (
	"os"
	"path/filepath"
	"testing"
)

// tree writes files below a directory of the test's own.
func tree(t *testing.T, files map[string]string) Reader {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Reader{Root: root}
}

const meminfo = "MemTotal:       16777216 kB\nMemFree:  1024 kB\nMemAvailable:   8388608 kB\n"

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Memory
	}{
		{"the machine alone", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"proc/pressure/memory": "some avg10=9.00 avg60=0 avg300=0 total=1\nfull avg10=1.50 avg60=0 avg300=0 total=1\n",
		}, Memory{16384, 8192, 1.5}},
		{"a kernel that does not say what is available", map[string]string{
			"proc/meminfo": "MemTotal:       16777216 kB\n",
		}, Memory{16384, -1, 0}},
		{"a group of version 2 above the own one has the limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user/session\n",
			"sys/fs/cgroup/user/session/memory.max":  "max\n",
			"sys/fs/cgroup/user/memory.max":          "2147483648\n",
			"sys/fs/cgroup/user/memory.current":      "1610612736\n",
			"sys/fs/cgroup/user/memory.stat":         "anon 1073741824\ninactive_file 536870912\n",
			"sys/fs/cgroup/user/memory.pressure":     "some avg10=0.00 avg60=0 avg300=0 total=0\nfull avg10=12.00 avg60=0 avg300=0 total=0\n",
			"sys/fs/cgroup/user/session/memory.stat": "inactive_file 1\n",
		}, Memory{2048, 1024, 12}},
		{"version 1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:devices:/\n4:cpuacct,memory:/box\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/box/memory.usage_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/box/memory.stat":           "inactive_file 5\ntotal_inactive_file 104857600\n",
		}, Memory{1024, 100, 0}},
		{"a container whose group has another name outside", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../pods/x\n",
			"sys/fs/cgroup/memory.max": "1073741824\n", "sys/fs/cgroup/memory.current": "0\n",
		}, Memory{1024, 1024, 0}},
		{"a machine with less left than the group", map[string]string{
			"proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 524288 kB\n", "proc/self/cgroup": "0::/x\n",
			"sys/fs/cgroup/x/memory.max": "2147483648\n", "sys/fs/cgroup/x/memory.current": "0\n",
		}, Memory{2048, 512, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tree(t, c.files).Read(); got != c.want {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestReadHere(t *testing.T) {
	m := Reader{}.Read()
	if m.Total < 256 || m.Available < 0 || m.Available > m.Total {
		t.Errorf("this machine has %+v", m)
	}
}

func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		Reader{}.Read()
	}
}
