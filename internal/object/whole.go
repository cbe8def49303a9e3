package object

import (
	"errors"
	"io"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
)

// wholeBodies is a middleware of the embedded server. Its HTTP library takes a
// connection that ends in the middle of a body for the end of the body, which
// would make an object of half an upload. Here that is an error.
func wholeBodies(ctx fiber.Ctx) error {
	length := ctx.Request().Header.ContentLength()
	if body := ctx.Request().BodyStream(); body != nil && length > 0 {
		utils.ContextKeyBodyReader.Set(ctx, &whole{from: body, left: int64(length)})
	}
	return ctx.Next()
}

// errCutShort is no EOF of any kind: the library takes io.ErrUnexpectedEOF for
// an end as well.
var errCutShort = errors.New("the connection ended before the body did")

// whole reads a body of a stated length.
type whole struct {
	from io.Reader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	w.left -= int64(n)
	if errors.Is(err, io.EOF) && w.left > 0 {
		err = errCutShort
	}
	return n, err
}
