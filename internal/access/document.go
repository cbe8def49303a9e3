package access

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// documentVersion is the first byte of a sealed document; then come the four
// bytes of the key's id and the sealed text.
const documentVersion = 1

// errDocument says that bytes are no document that the key ring sealed for the ARN.
var errDocument = errors.New("not a document that was sealed for this resource with this key ring")

// SealDocument returns text as the store keeps it: sealed under the key ring,
// so that a copy of the store alone tells no password of a connection, and
// bound to the resource of the ARN.
func (a *Authority) SealDocument(arn string, text []byte) ([]byte, error) {
	k := a.ring.newest()
	head, err := hex.AppendDecode([]byte{documentVersion}, []byte(k.id))
	if err != nil {
		return nil, fmt.Errorf("cannot seal a document: key id %q: %w", k.id, err)
	}
	return k.documents.Seal(head, nil, text, documentContext(head, arn)), nil
}

// OpenDocument undoes SealDocument for the same ARN.
func (a *Authority) OpenDocument(arn string, sealed []byte) ([]byte, error) {
	if len(sealed) < 5 || sealed[0] != documentVersion {
		return nil, errDocument
	}
	k := a.ring.key(hex.EncodeToString(sealed[1:5]))
	if k == nil {
		return nil, errDocument
	}
	text, err := k.documents.Open(nil, nil, sealed[5:], documentContext(sealed[:5], arn))
	if err != nil {
		return nil, errDocument
	}
	return text, nil
}

func documentContext(head []byte, arn string) []byte {
	return append(append(make([]byte, 0, len(head)+len(arn)), head...), arn...)
}
