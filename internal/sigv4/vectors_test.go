package sigv4

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The examples of the S3 documentation: their key, their day, and the
// signatures that are printed there.
const (
	docKey    = "AKIAIOSFODNN7EXAMPLE"
	docSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	docHost   = "examplebucket.s3.amazonaws.com"
)

// docDay runs f with the clock at the examples' time.
func docDay(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// docRequest makes one of the examples' requests; headers are name, value, ….
func docRequest(method, target string, body io.Reader, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.Host = docHost
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func docAuth(headers, signature string) string {
	return Algorithm + " Credential=" + docKey + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + headers + ",Signature=" + signature
}

func docVerify(t *testing.T, r *http.Request) *Verified {
	t.Helper()
	s, err := Parse(r)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	v, err := NewKeys().Verify(r, s, docSecret, Want{Service: S3, Region: "us-east-1"})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return v
}

func TestExamplesOfTheDocumentation(t *testing.T) {
	docDay(t, func(t *testing.T) {
		get := docRequest("GET", "/test.txt", nil,
			"Range", "bytes=0-9", "X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z",
			"Authorization", docAuth("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))
		docVerify(t, get)

		put := docRequest("PUT", "/test%24file.text", strings.NewReader("Welcome to Amazon S3."),
			"Date", "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
			"X-Amz-Content-Sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization", docAuth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
		body, err := docVerify(t, put).Body(put)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != "Welcome to Amazon S3." {
			t.Fatalf("got %q, %v", text, err)
		}

		list := docRequest("GET", "/?max-keys=2&prefix=J", nil,
			"X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z",
			"Authorization", docAuth("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"))
		docVerify(t, list)

		lifecycle := docRequest("GET", "/?lifecycle", nil,
			"X-Amz-Content-Sha256", emptyHash, "X-Amz-Date", "20130524T000000Z",
			"Authorization", docAuth("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))
		docVerify(t, lifecycle)

		docVerify(t, docRequest("GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"+
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil))
	})
}

// framed is a chunked upload of the documentation: 66560 letters in two chunks.
func framed(trailer bool, seed string, chunks [3]string, tail string) *http.Request {
	letters := strings.Repeat("a", 66560)
	body := "10000;chunk-signature=" + chunks[0] + "\r\n" + letters[:65536] + "\r\n" +
		"400;chunk-signature=" + chunks[1] + "\r\n" + letters[65536:] + "\r\n" +
		"0;chunk-signature=" + chunks[2] + "\r\n" + tail
	headers := []string{
		"Content-Encoding", "aws-chunked", "X-Amz-Date", "20130524T000000Z", "X-Amz-Decoded-Content-Length", "66560", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
	}
	if trailer {
		headers = append(headers, "X-Amz-Content-Sha256", StreamingSignedTrailer, "X-Amz-Trailer", "x-amz-checksum-crc32c",
			"Authorization", docAuth("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer", seed))
	} else {
		headers = append(headers, "X-Amz-Content-Sha256", StreamingSigned, "Content-Length", "66824",
			"Authorization", docAuth("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class", seed))
	}
	return docRequest("PUT", "/examplebucket/chunkObject.txt", strings.NewReader(body), headers...)
}

func plainFramed() *http.Request {
	r := framed(false, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", [3]string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}, "\r\n")
	r.Host = "s3.amazonaws.com"
	return r
}

func trailerFramed() *http.Request {
	r := framed(true, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", [3]string{
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	}, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
	r.Host = "s3.amazonaws.com"
	return r
}

func TestSignedChunksOfTheDocumentation(t *testing.T) {
	docDay(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			r       *http.Request
			trailer string
		}{"chunks": {plainFramed(), ""}, "chunks and trailer": {trailerFramed(), "sOO8/Q=="}} {
			body, err := docVerify(t, c.r).Body(c.r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, err := io.ReadAll(body)
			if err != nil || string(text) != strings.Repeat("a", 66560) || body.Length != 66560 || !body.Streaming {
				t.Fatalf("%s: got %d bytes of %d, %v", name, len(text), body.Length, err)
			}
			if got := body.Trailers().Get("X-Amz-Checksum-Crc32c"); got != c.trailer {
				t.Errorf("%s: got trailer %q, want %q", name, got, c.trailer)
			}
			if n, err := body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s: after the end got %d, %v", name, n, err)
			}
		}
	})
}

// TestAlteredChunksAreRefused changes the framed body in every way that
// matters; each has to be noticed before the end of the body.
func TestAlteredChunksAreRefused(t *testing.T) {
	docDay(t, func(t *testing.T) {
		replace := func(from, to string) func(string) string {
			return func(s string) string { return strings.Replace(s, from, to, 1) }
		}
		for name, c := range map[string]struct {
			make   func() *http.Request
			change func(string) string
			want   Reason
		}{
			"data of the first chunk": {plainFramed, replace("\r\naaaa", "\r\naaab"), ChunkSignature},
			"signature of the second": {plainFramed, replace("00556", "00557"), ChunkSignature},
			"signature of the last":   {plainFramed, replace("b6c6e", "b6c6f"), ChunkSignature},
			"no signature":            {plainFramed, replace(";chunk-signature=0055", ";chunk-other=0055"), ChunkSignature},
			"second chunk left out": {plainFramed, func(s string) string {
				i, j := strings.Index(s, "400;"), strings.Index(s, "\r\n0;")
				return s[:i] + s[j+2:]
			}, ChunkSignature},
			"cut in the first chunk":    {plainFramed, func(s string) string { return s[:30000] }, BadFraming},
			"cut behind the first":      {plainFramed, func(s string) string { return s[:strings.Index(s, "400;")] }, BadFraming},
			"size is no number":         {plainFramed, replace("10000;", "1x000;"), BadFraming},
			"size is negative":          {plainFramed, replace("10000;", "-1000;"), BadFraming},
			"size is huge":              {plainFramed, replace("10000;", "fffffffffffffff;"), BadFraming},
			"size is more than stated":  {plainFramed, replace("10000;", "20000;"), BadFraming},
			"line end is missing":       {plainFramed, replace("aa\r\n400", "aaxx400"), BadFraming},
			"head without end":          {plainFramed, func(string) string { return strings.Repeat("1", 10000) }, BadFraming},
			"nothing at all":            {plainFramed, func(string) string { return "" }, BadFraming},
			"more behind the end":       {plainFramed, func(s string) string { return s + "x" }, BadFraming},
			"trailer where none may be": {plainFramed, func(s string) string { return s[:len(s)-2] + "x-a:b\r\n\r\n" }, BadTrailer},
			"value of the trailer":      {trailerFramed, replace("sOO8/Q==", "sOO8/A=="), ChunkSignature},
			"signature of the trailer":  {trailerFramed, replace("d81f8", "d81f9"), ChunkSignature},
			"trailer left out":          {trailerFramed, replace("x-amz-checksum-crc32c:sOO8/Q==\r\n", ""), BadTrailer},
			"its signature left out":    {trailerFramed, func(s string) string { return s[:strings.Index(s, "x-amz-trailer-")] + "\r\n" }, ChunkSignature},
			"another trailer":           {trailerFramed, replace("x-amz-checksum-crc32c:", "x-amz-checksum-crc32:"), BadTrailer},
			"trailer twice":             {trailerFramed, replace("x-amz-trailer-sig", "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-sig"), BadTrailer},
		} {
			r := c.make()
			v := docVerify(t, r)
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			changed := c.change(string(text))
			if changed == string(text) {
				t.Fatalf("%s: the case changes nothing", name)
			}
			r.Body = io.NopCloser(strings.NewReader(changed))
			body, err := v.Body(r)
			if err == nil {
				_, err = io.Copy(io.Discard, body)
			}
			if ReasonOf(err) != c.want {
				t.Errorf("%s: got %v (%v), want reason %d", name, err, errors.Unwrap(err), c.want)
			}
		}
	})
}
