package mem

import (
	"testing"

	"go.uber.org/goleak"

	"vgid/collective/frame"
	"vgid/collective/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, n int) []frame.Transport { return New(n) })
}
