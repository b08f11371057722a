package train

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vgid/model"
	"vgid/vgid/config"
)

// Method is a way to unlearn: one file that registers it, with the formula and its
// source. From there unlearn.method has its name, checked and listed in help, and the
// stage, its estimate of memory, the look at the teacher and reports ask it what they
// need to know. Settings of its own it brings by config.RegisterSection.
type Method struct {
	Name  string
	Order int    // where lists have it; those of the same order go by name
	Doc   string // what it does, in a line
	Loss  string // what its losses are called in reports: KL
	Needs Needs
	// New makes the method's objective. It refuses settings that the method cannot
	// work with, before anything large is allocated. On an error the teacher stays the
	// caller's; else it is the objective's, which closes it.
	New func(Setup) (Objective, error)
}

// Needs is what a method reads beside the samples to forget.
type Needs struct {
	Teacher     bool // the model as it was before
	Noise       bool // unlearn.noise
	Instruction bool // unlearn.instruction
	Retain      bool // samples to retain: settings without any are refused
}

// Intervenes reports whether the method shows its teacher something else than the
// student: then there is something to look at.
func (n Needs) Intervenes() bool { return n.Noise || n.Instruction }

// Setup is what an objective of a method is made of.
type Setup struct {
	Student *model.Model
	// Teacher is a copy of the student as it was, where all weights are trained and the
	// method needs one. Nil: the student without its adapter is, or nobody.
	Teacher        *model.Model
	Encoder        *Encoder // nil: batches are filled with views, no sample is encoded
	Config         config.Unlearn
	Seed           uint64
	Instructions   []string // of methods that need them
	Forget, Retain Source   // Retain may be nil
	// Rehearsal says that the device only counts: it has no answers of its own.
	Rehearsal bool
}

// before is the model as it was before unlearning.
func (s *Setup) before() model.View {
	if s.Teacher != nil {
		return s.Teacher.Base()
	}
	return s.Student.Base()
}

// answersOnly refuses settings that a method which learns from answers as they are
// cannot honour.
func (s *Setup) answersOnly() error {
	c := s.Config
	switch {
	case c.Preset == "release": // before what it sets
		return fmt.Errorf("unlearn.preset: release is what the script of vgid's authors does, %s is not in it; leave it at paper", c.Method)
	case c.Mask != "answer":
		return fmt.Errorf("unlearn.mask: %s looks at the answer alone, not at %s; leave it at answer", c.Method, c.Mask)
	case c.Responses != "gold":
		return fmt.Errorf("unlearn.responses: %s forgets the answers that the data has, nobody's own; leave it at gold", c.Method)
	}
	return nil
}

// registered holds every method by Order and name. It changes while packages are
// initialised and never after, so nothing guards it.
var registered []*Method

// Register makes a method known. It is called by the init function of its file.
func Register(m Method) {
	if m.Name == "" || m.New == nil || slices.Contains(methodNames(), m.Name) {
		panic(fmt.Sprintf("train: method %q has no name or no New, or is registered twice", m.Name))
	}
	registered = append(registered, &m)
	slices.SortFunc(registered, func(a, b *Method) int {
		return cmp.Or(a.Order-b.Order, cmp.Compare(a.Name, b.Name))
	})
}

// Methods lists all methods by Order and name.
func Methods() []*Method { return slices.Clone(registered) }

// Named is the method of a name.
func Named(name string) (*Method, error) {
	i := slices.IndexFunc(registered, func(m *Method) bool { return m.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("method: %q is not one of %s", name, strings.Join(methodNames(), ", "))
	}
	return registered[i], nil
}

// FindMethod is the method of a configuration.
func FindMethod(c config.Unlearn) (*Method, error) {
	m, err := Named(c.Method)
	if err != nil {
		return nil, fmt.Errorf("unlearn.%w", err)
	}
	switch { // samples that weigh nothing hold nothing back, either
	case m.Needs.Retain && c.BatchRetain == 0:
		return nil, fmt.Errorf("unlearn.batch_retain: %s needs samples to retain, its loss on the forget set has no bound", m.Name)
	case m.Needs.Retain && c.Beta == 0:
		return nil, fmt.Errorf("unlearn.beta: %s needs a retain term, its loss on the forget set has no bound; set beta above 0", m.Name)
	}
	return m, nil
}

func methodNames() []string {
	var names []string
	for _, m := range registered {
		names = append(names, m.Name)
	}
	return names
}

func init() {
	config.Choose("unlearn.method", func() []config.Value {
		var values []config.Value
		for _, m := range registered {
			v := config.Value{Name: m.Name, Doc: m.Doc}
			if m.Needs.Retain {
				v.Needs = []string{"unlearn.batch_retain", "unlearn.beta"}
			}
			values = append(values, v)
		}
		return values
	})
}
