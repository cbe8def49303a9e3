package sigv4

import (
	"crypto/sha1" //nolint:gosec // S3 offers it as a checksum
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

// checksum is a checksum trailer that a body announced.
type checksum struct {
	name string // canonical header name
	sum  hash.Hash
}

// checksumPrefix is how the names of S3's checksum headers begin.
const checksumPrefix = "X-Amz-Checksum-"

// nvme is the reversed polynomial of CRC-64/NVME.
const nvme = 0x9a6c9329ac4bc9b5

// newChecksum returns the hash of a checksum header, or nil for other headers
// and for algorithms that only the store knows.
func newChecksum(name string) hash.Hash {
	switch strings.TrimPrefix(name, checksumPrefix) {
	case "Crc32":
		return crc32.NewIEEE()
	case "Crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "Crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "Sha1":
		return sha1.New() //nolint:gosec // as above
	case "Sha256":
		return sha256.New()
	}
	return nil
}

// checksumName is what messages call the checksum of a header.
func checksumName(name string) string {
	return strings.ToUpper(strings.TrimPrefix(name, checksumPrefix))
}

// fits compares the value of the trailer with the body that was hashed.
func (c checksum) fits(value string) bool {
	return base64.StdEncoding.EncodeToString(c.sum.Sum(nil)) == value
}
