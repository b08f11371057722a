package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/collective"
	"vgid/collective/mtls"
)

// ca makes the CA of a job.
func ca(t testing.TB) *mtls.Authority {
	t.Helper()
	a, err := mtls.NewAuthority("job", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// granted gives an identity of a CA.
func granted(t testing.TB, a *mtls.Authority, g mtls.Grant) *mtls.Identity {
	t.Helper()
	id, err := a.Identity(g)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// identities are those of the ranks of the job "test", each for its rank and this host alone.
func identities(t testing.TB, n int) []*mtls.Identity {
	t.Helper()
	a := ca(t)
	ids := make([]*mtls.Identity, n)
	for r := range ids {
		ids[r] = granted(t, a, mtls.Grant{Name: "rank", Ranks: []*url.URL{mtls.RankURI("test", r)}, Hosts: []string{"127.0.0.1"}})
	}
	return ids
}

// What two ranks of a job cannot agree on about TLS ends both at once, with a line at each
// that says which is at fault, whichever endpoints they have.
func TestMaterialOfPeers(t *testing.T) {
	job, other := ca(t), ca(t)
	good, foreign := granted(t, job, mtls.Grant{}), granted(t, other, mtls.Grant{Name: "them"})
	// One that takes both CAs, but is of the other.
	cert, key, err := other.Issue(mtls.Grant{Name: "us"})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := mtls.New(mtls.Part{PEM: append(job.Certificate(), other.Certificate()...)}, mtls.Part{PEM: cert}, mtls.Part{PEM: key})
	if err != nil {
		t.Fatal(err)
	}
	rank := func(r int) *mtls.Identity {
		return granted(t, job, mtls.Grant{Ranks: []*url.URL{mtls.RankURI("test", r)}})
	}
	for name, tc := range map[string]struct {
		caller, listener         *mtls.Identity
		callerSays, listenerSays string // the ends of the first lines
	}{
		"the caller alone has TLS":   {good, nil, "this rank has TLS and the other has none: give all ranks certificates, or none", "the other rank has TLS and this one has none: give all ranks certificates, or none"},
		"the listener alone has TLS": {nil, good, "the other rank has TLS and this one has none: give all ranks certificates, or none", "this rank has TLS and the other has none: give all ranks certificates, or none"},
		"the listener is of another CA": {good, foreign, `the peer's certificate, of "CN=them", was not issued by the CA of this job, but by "CN=job"`,
			"the peer does not accept the certificate of this rank (tls: bad certificate), and says why"},
		"the caller is of another CA": {wide, good, "the peer does not accept the certificate of this rank (tls: bad certificate), and says why",
			`the peer's certificate, of "CN=us", was not issued by the CA of this job, but by "CN=job"`},
		"the caller shows another rank's": {rank(7), rank(0), `the certificate of this rank, of "", is for "vgid:test/rank/7", not for "vgid:test/rank/1"`, ""},
	} {
		for i, stock := range []func(int) bool{none, all, odd, even} {
			t.Run(name+" "+[]string{"fast", "stock", "odd stock", "even stock"}[i], func(t *testing.T) {
				t.Parallel()
				ls, addrs := listen(t, 2)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				errs := make([]error, 2)
				var wg sync.WaitGroup
				for r, id := range []*mtls.Identity{tc.listener, tc.caller} {
					wg.Go(func() {
						tr, err := Connect(ctx, Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r], Stock: stock(r), TLS: id, Timeout: time.Minute})
						if err == nil {
							tr.Close()
						}
						if errs[r] = err; r == 1 && tc.listenerSays == "" {
							cancel() // who is at fault before it has called ends its job's by ending
						}
					})
				}
				wg.Wait()
				for r, want := range []string{tc.listenerSays, tc.callerSays} {
					if want == "" {
						continue
					}
					if err := errs[r]; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
						t.Errorf("rank %d says %v, want %q in it", r, err, want)
					}
				}
			})
		}
	}
}

// A certificate of the CA is not enough to be another rank, as caller or as listener.
func TestCertificateOfAnotherRank(t *testing.T) {
	a := ca(t)
	thief := granted(t, a, mtls.Grant{Ranks: []*url.URL{mtls.RankURI("test", 2)}})
	mine := granted(t, a, mtls.Grant{Ranks: []*url.URL{mtls.RankURI("test", 0), mtls.RankURI("test", 1)}})
	for name, stock := range map[string]func(int) bool{"fast": none, "stock": all, "odd stock": odd, "even stock": even} {
		for who, at := range map[string]int{"caller": 1, "listener": 0} {
			t.Run(name+" "+who, func(t *testing.T) {
				t.Parallel()
				ls, addrs := listen(t, 2)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				errs := make([]error, 2)
				var wg sync.WaitGroup
				for r := range 2 {
					wg.Go(func() {
						c := Config{Job: "test", Token: "secret", Rank: r, Peers: addrs, Listener: ls[r], Stock: stock(r), TLS: mine, Timeout: time.Minute}
						if r == at {
							c.TLS = thief
							_, errs[r] = connect(ctx, c) // it does not look at its own
						} else {
							_, errs[r] = Connect(ctx, c)
						}
						if r == 1 {
							cancel()
						}
					})
				}
				wg.Wait()
				want := `the certificate that rank ` + string(rune('0'+at)) + ` shows is for "vgid:test/rank/2", not for "vgid:test/rank/` + string(rune('0'+at)) + `"`
				if err := errs[1]; err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the caller says %v, want %q in it", err, want)
				}
			})
		}
	}
}

// Who sits between two ranks, with a certificate of their CA but without the token, can pass
// on neither what proves it nor what they say.
func TestBetweenTwoRanks(t *testing.T) {
	a := ca(t)
	id := granted(t, a, mtls.Grant{})
	caller, left := pipe(t)
	right, listener := pipe(t)
	var wg sync.WaitGroup
	var callErr, answerErr error
	refuse := func(error) {}
	wg.Go(func() {
		g := guard{token: []byte("secret"), tls: id, refused: refuse, differs: refuse}
		_, _, answerErr = g.ServerHandshake(listener)
	})
	wg.Go(func() {
		g := guard{token: []byte("secret"), tls: id, refused: refuse, differs: refuse}
		_, _, callErr = g.ClientHandshake(context.Background(), "", caller)
	})
	// What proves the token is passed on as it is; then each has TLS with who is between.
	pass := func(from, to net.Conn, n int64) {
		if _, err := io.CopyN(to, from, n); err != nil {
			t.Error(err)
		}
	}
	pass(left, right, int64(len(mark)+helloSize))
	pass(right, left, helloSize+32)
	pass(left, right, 32)
	within := guard{token: []byte("not known"), tls: id}
	up, down := within.tlsOver(left, false), within.tlsOver(right, true)
	wg.Go(func() {
		if err := errors.Join(up.Handshake(), down.Handshake()); err != nil {
			t.Error(err)
		}
		proof := make([]byte, 32)
		_, _ = io.ReadFull(up, proof)
		_, _ = down.Write(proof)
		_, _ = io.ReadFull(down, proof)
		up.Close()
		down.Close()
	})
	wg.Wait()
	if !errors.Is(answerErr, errBetween) || callErr == nil {
		t.Errorf("listener: %v, caller: %v", answerErr, callErr)
	}
}

func pipe(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ls, addrs := listen(t, 1)
	defer ls[0].Close()
	a, err := net.Dial("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ls[0].Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// A rank that takes nothing any more is left without waiting for it.
func TestLeavingAFrozenPeer(t *testing.T) {
	a, b := pipe(t)
	id := granted(t, ca(t), mtls.Grant{})
	g := guard{tls: id}
	caller, listener := g.tlsOver(a, true), g.tlsOver(b, false)
	var wg sync.WaitGroup
	wg.Go(func() { _ = listener.Handshake() })
	if err := caller.Handshake(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	// Nobody reads at b: until the sockets are full.
	_ = caller.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for {
		if _, err := a.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	begin := time.Now()
	caller.Close()
	if took := time.Since(begin); took > 4*time.Second { // package tls would wait for five
		t.Errorf("closing took %v", took)
	}
}

// One rank without TLS material in a job that has it is no rank of it, whatever is asked for
// later: connections that are opened when a call needs them are secured as the first.
func TestLaterConnectionsHaveTLS(t *testing.T) {
	ts := connected(t, 6, way{odd, true, none})
	var wg sync.WaitGroup
	errs := make([]error, len(ts))
	for r, tr := range ts {
		wg.Go(func() {
			c, err := collective.New(tr, collective.Options{Job: "test"})
			if err != nil {
				errs[r] = err
				return
			}
			in, out := make([]int32, 6*3000), make([]int32, 6*3000)
			for i := range in {
				in[i] = int32(r*1000000 + i)
			}
			err = c.AllToAll(context.Background(), collective.I32(in), collective.I32(out))
			for i := range out {
				if want := int32(i/3000*1000000 + r*3000 + i%3000); err == nil && out[i] != want {
					err = errors.New("other elements than were sent")
				}
			}
			errs[r] = errors.Join(err, c.Close())
		})
	}
	wg.Wait()
	noErrors(t, errs)
}
