//go:build !linux

package doctor

import "os"

func attributes(dir string) Check {
	return Check{Name: "extended attributes", Result: OK, Detail: "supported by this system's own file systems"}
}

func isolation() []Check {
	detail := "processes only: this system has neither namespaces nor cgroups"
	if os.Geteuid() == 0 {
		detail += "; sessions run as root"
	}
	return []Check{{Name: "isolation", Result: Warning, Detail: detail, Fix: "run on Linux to separate sessions, or only run code you trust"}}
}
