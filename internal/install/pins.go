package install

import (
	_ "embed" // the two files of pins
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed pins.yaml
var pinsFile []byte

//go:embed requirements.txt
var requirements []byte

// jar is one artifact that Maven fetches.
type jar struct {
	Artifact string `yaml:"artifact"` // group:name:version
	SHA256   string `yaml:"sha256"`
	Bytes    int64  `yaml:"bytes"`
}

// pins is pins.yaml.
type pins struct {
	Java      int    `yaml:"java"`
	Python    string `yaml:"python"`
	Spark     string `yaml:"spark"`
	FetchWith string `yaml:"fetch_with"` // Maven goal
	Jars      []jar  `yaml:"jars"`

	Formats  map[string][]jar `yaml:"formats"` // of tables
	Parts    []part           `yaml:"parts"`   // of Jars
	Unsigned []struct {
		File   string `yaml:"file"`
		SHA256 string `yaml:"sha256"`
	} `yaml:"unsigned"`
}

func readPins() (pins, error) {
	var p pins
	if err := yaml.Unmarshal(pinsFile, &p); err != nil {
		return pins{}, fmt.Errorf("cannot read the embedded pins: %w", err)
	}
	return p, nil
}

// jarFile returns the file name of a Maven artifact.
func jarFile(artifact string) string {
	part := strings.Split(artifact, ":")
	return part[1] + "-" + part[2] + ".jar"
}
