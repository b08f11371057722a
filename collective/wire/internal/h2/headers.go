package h2

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What gRPC says in headers (its document PROTOCOL-HTTP2.md): a call is a POST to
// /service/method; the answer is 200 and, behind the messages, a status in trailers.
// A call that is refused has trailers alone.

const contentType = "application/grpc"

// headWriter encodes header blocks. What a block refers back to are the blocks before
// it, so blocks have to leave in the order they were written.
type headWriter struct {
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newHeadWriter() *headWriter {
	w := &headWriter{}
	w.enc = hpack.NewEncoder(&w.buf)
	return w
}

// block encodes fields, given as name and value in turn, and metadata. The memory is
// the writer's until the next block. Too many are refused before the first is encoded,
// since what is encoded has to be sent.
func (w *headWriter) block(md metadata.MD, fields ...string) ([]byte, error) {
	var all []hpack.HeaderField
	for i := 0; i < len(fields); i += 2 {
		all = append(all, hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	for k, vs := range md {
		for _, v := range vs {
			all = append(all, hpack.HeaderField{Name: strings.ToLower(k), Value: v})
		}
	}
	size := 0
	for _, f := range all {
		size += int(f.Size())
	}
	if size > maxControl || len(all) >= maxFields {
		return nil, status.Errorf(codes.ResourceExhausted, "%d headers of %d bytes, less than %d of at most %d bytes are sent", len(all), size, maxFields, maxControl)
	}
	w.buf.Reset()
	for _, f := range all {
		_ = w.enc.WriteField(f) // into memory
	}
	return w.buf.Bytes(), nil
}

// head is a decoded header block.
type head struct {
	method, path, status, contentType string
	grpcStatus, grpcMessage           string
	md                                metadata.MD
}

// parseHead sorts the fields of a block. Pseudo-headers (RFC 9113, 8.3) come first and
// once; names are in lower case.
func parseHead(fields []hpack.HeaderField) (head, error) {
	h := head{md: metadata.MD{}}
	regular := false
	for _, f := range fields {
		if !f.IsPseudo() {
			regular = true
			if strings.ToLower(f.Name) != f.Name {
				return h, fmt.Errorf("header %q is not in lower case", f.Name)
			}
			switch f.Name {
			case "content-type":
				h.contentType = f.Value
			case "grpc-status":
				h.grpcStatus = f.Value
			case "grpc-message":
				h.grpcMessage = f.Value
			default:
				h.md.Append(f.Name, f.Value)
			}
			continue
		}
		field := map[string]*string{":method": &h.method, ":path": &h.path, ":status": &h.status, ":scheme": new(string), ":authority": new(string)}[f.Name]
		if regular || field == nil || *field != "" {
			return h, fmt.Errorf("header %q stands where it may not", f.Name)
		}
		*field = f.Value
	}
	return h, nil
}

// isGRPC reports whether a content type is gRPC's, with any codec.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// end is the status that trailers tell; OK has none.
func (h *head) end() error {
	if h.grpcStatus == "" {
		return status.Errorf(codes.Internal, "the stream ended without a status (HTTP status %q)", h.status)
	}
	code, err := strconv.ParseUint(h.grpcStatus, 10, 32)
	if err != nil {
		return status.Errorf(codes.Unknown, "the stream ended with the status %q", h.grpcStatus)
	}
	return status.Error(codes.Code(code), unescape(h.grpcMessage))
}

// escape writes a message as gRPC wants it in a header: printable ASCII as it is, the
// rest and % as %XX.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape undoes escape. What is no escape stays.
func unescape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == '%' && len(s) > 2 {
			if c, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[3:]
				continue
			}
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// maxFields is how many fields a header block may hold.
const maxFields = 128

// headReader decodes header blocks, which may come in several frames. All blocks have
// to be decoded, also those that nobody wants: later ones refer back to them.
type headReader struct {
	dec    *hpack.Decoder
	fields []hpack.HeaderField
	size   int
	parts  int // frames of the block

	open   bool // a block has begun and not ended
	stream uint32
	end    bool // the block's stream ends with it
}

func newHeadReader() *headReader {
	r := &headReader{dec: hpack.NewDecoder(4096, nil)}
	r.dec.SetMaxStringLength(maxControl)
	r.dec.SetEmitFunc(func(f hpack.HeaderField) {
		r.size += int(f.Size())
		if r.size <= maxControl && len(r.fields) < maxFields {
			r.fields = append(r.fields, f)
		} else {
			r.dec.SetEmitEnabled(false)
		}
	})
	return r
}

// add takes a part of a block: the payload of HEADERS or CONTINUATION.
func (r *headReader) add(p []byte, last bool) error {
	if r.parts++; r.parts > 8 || r.size > maxControl || len(r.fields) == maxFields {
		return violation(codeFlood, "a header block of more than %d bytes, %d fields or 8 frames", maxControl, maxFields)
	}
	if _, err := r.dec.Write(p); err != nil {
		return violation(codeProtocol, "headers: %v", err)
	}
	if !last {
		return nil
	}
	if err := r.dec.Close(); err != nil {
		return violation(codeProtocol, "headers: %v", err)
	}
	if r.size > maxControl || len(r.fields) == maxFields {
		return violation(codeFlood, "a header block of more than %d bytes or %d fields", maxControl, maxFields)
	}
	return nil
}

// begin starts a block.
func (r *headReader) begin(h header) {
	r.open, r.stream, r.end = true, h.stream, h.has(flagEndStream)
	r.fields, r.size, r.parts = nil, 0, 0
	r.dec.SetEmitEnabled(true)
}
