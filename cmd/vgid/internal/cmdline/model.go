package cmdline

import (
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/model/hub"
	"vgid/vgid/quickstart"
)

// ModelFlag is --model of commands that take whatever ModelFolder does.
func ModelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Usage: "`FOLDER` of the model, its ORG/NAME on the hub, or " + quickstart.Builtin}
}

// AdapterFlag is --adapter of commands that can do without one.
func AdapterFlag() cli.Flag {
	return &cli.StringFlag{Name: "adapter", Usage: "`FOLDER` of a PEFT adapter of it, or its ORG/NAME on the hub"}
}

// OpenModel opens the folder that --model names, and finds that of --adapter, empty where the flag was not given.
// Nothing is read yet but what has to be fetched. The caller closes d.
func OpenModel(c *cli.Context) (d *modeldir.Dir, adapter string, err error) {
	dir, err := ModelFolder(c, "model")
	if err == nil && c.IsSet("adapter") {
		adapter, err = ModelFolder(c, "adapter")
	}
	if err != nil {
		return nil, "", err
	}
	return modeldir.Open(dir), adapter, nil
}

// ModelFolder is the folder a flag names: a path, ORG/NAME[@REVISION], which is
// fetched from the hub, or a built-in model, which is written to a folder that
// lasts as long as the command.
func ModelFolder(c *cli.Context, flag string) (string, error) { return folderOf(c, flag, hub.Whole) }

// TokenizerFolder is ModelFolder for those who need no weights.
func TokenizerFolder(c *cli.Context, flag string) (string, error) {
	return folderOf(c, flag, hub.Tokenizer)
}

// Progress of a download goes to standard error. A built-in model is written anew at each call, so that
// none can be left over from another version of the program.
// part says what of a model on a hub is fetched: a tokenizer needs no gigabytes of weights.
func folderOf(c *cli.Context, flag string, part hub.Part) (string, error) {
	ref := c.String(flag)
	name, write, err := quickstart.Find(ref)
	switch {
	case err != nil:
		return "", Errorf(c, "--%s: %w", flag, err)
	case name == "":
		return hub.Folder(c.Context, ref, part, os.Stderr)
	}
	dir, err := os.MkdirTemp("", "vgid-")
	if err != nil {
		return "", err
	}
	scratch = append(scratch, dir)
	be := cpu.New(0)
	defer be.Close()
	return dir, write(be, dir, 0)
}

// scratch are the folders of built-in models.
// One list for the process, since a signal may end it in any command.
var scratch []string

// RemoveScratch removes the folders that ModelFolder and TokenizerFolder have written. It is called before
// each way in which the process may end; to call it again does no harm.
func RemoveScratch() {
	for _, dir := range scratch {
		os.RemoveAll(dir) // what is left there takes room and does no harm
	}
	scratch = nil
}
