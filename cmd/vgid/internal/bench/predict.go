package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	coll "vgid/collective"
	"vgid/collective/collbench"
)

// What is reduced in a step of LLaVA-1.5-7B: the gradients of adapters of rank 16 on the seven linear layers of its 32
// blocks, and those of all its weights, in float32.
const (
	loraPayload = 4 * 32 * 16 * (4*(4096+4096) + 3*(4096+11008))
	fullPayload = 4 * 7_063_427_072
)

// predict estimates collectives on clusters that need not be there.
func predict() *cli.Command {
	return &cli.Command{
		Name: "predict", Usage: "how long gradients would take among many nodes, estimated, and compared with networks made here (Linux, root)",
		Description: `What the two ends of a transfer cost is measured on this machine, over a network without limits; the rest follows from the rate and the
delay. --procs 2,4 measures the same all-reduces over a network that is made with that rate and delay: how far they are apart says how far the
estimates can be trusted. Processes share this machine's cores, and the network costs some of them; on a cluster each node has its own.`,
		Flags: append(networkFlags("10gbit", time.Millisecond), cmdline.JSONFlag(),
			numbersFlag("procs", "numbers of nodes that are measured as well, each a process on this machine", 2),
			numbersFlag("bytes", "lengths that are measured", 4<<10, 1<<20, 16<<20, 64<<20),
			numbersFlag("nodes", "numbers of nodes that are estimated", 8, 16, 32, 64, 128, 256, 512, 1024),
			&cli.StringSliceFlag{Name: "payload", Usage: "what is reduced, as `NAME=BYTES` (default: gradients of LLaVA-1.5-7B, of adapters and of all weights)"},
			&cli.IntFlag{Name: "rounds", Usage: "rounds of each measurement", Value: 5},
		),
		Action: measured(func(c *cli.Context) (result, error) {
			if err := cmdline.Positive(c, "rounds"); err != nil {
				return nil, err
			}
			spec, err := networkSpec(c, 2)
			if err != nil {
				return nil, err
			}
			payloads, err := payloads(names(c, "payload"))
			if err != nil {
				return nil, err
			}
			return collbench.Predict(c.Context, collbench.Estimate{
				Network: spec, Procs: c.IntSlice("procs"), Sizes: c.IntSlice("bytes"), Ranks: c.IntSlice("nodes"), Payloads: payloads,
				Algorithms: []coll.Algorithm{coll.Ring, coll.Doubling, coll.Rabenseifner}, Rounds: c.Int("rounds"),
			})
		}),
	}
}

// payloads reads the flag's values.
func payloads(values []string) ([]collbench.Payload, error) {
	if len(values) == 0 {
		return []collbench.Payload{{Name: "gradients of LLaVA-1.5-7B's adapters of rank 16", Bytes: loraPayload},
			{Name: "gradients of all its weights", Bytes: fullPayload}}, nil
	}
	var out []collbench.Payload
	for _, v := range values {
		name, number, _ := strings.Cut(v, "=")
		n, err := strconv.Atoi(number)
		if err != nil || name == "" {
			return nil, fmt.Errorf("--payload %q: it is NAME=BYTES, as lora=160000000", v)
		}
		out = append(out, collbench.Payload{Name: name, Bytes: n})
	}
	return out, nil
}
