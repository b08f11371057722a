// Package config holds every setting of a run in one struct: its YAML file,
// its defaults, its flags and its validation. There is no setting elsewhere, but
// that a registry above may bring the values of one (Choose) and an unlearning
// method its own (RegisterSection).
//
// What must hold: a setting is declared once, by a field and its tags, from which
// file, flag, help and check follow; what Load returns is valid; and a stage's
// settings (Config.For) hold all that its outcome depends on, or a resumed run
// would keep what it should make again.
//
// Begin with Config, then Fields and check (fields.go).
package config

import "time"

// Config is a run. Field comments live in the doc tags, from which `vgid config
// show` and the flags' help are made.
type Config struct {
	Name      string `yaml:"name" doc:"name of the run; outputs go to out/name"`
	Out       string `yaml:"out" doc:"folder that holds the runs"`
	Seed      uint64 `yaml:"seed" doc:"seed of everything random: people, order of samples, noise, dropout, initial LoRA weights"`
	Device    string `yaml:"device" doc:"cpu, or cuda in a build with it (make cuda): a worker takes the GPU of its rank on its machine; CUDA_VISIBLE_DEVICES narrows them" oneof:"cpu,cuda"`
	Precision string `yaml:"precision" doc:"how far a GPU may round: float32; tf32, where products round their operands to 10 bits of mantissa; bfloat16, where activations are kept in it. What is trained, its gradients and moments, statistics and losses are float32 in each; the CPU computes in float32" oneof:"float32,tf32,bfloat16"`
	Threads   int    `yaml:"threads" doc:"CPU threads of each worker; 0 takes GOMAXPROCS, which the launcher sets to cores / workers on this machine" min:"0" max:"1024"`
	Resume    bool   `yaml:"resume" doc:"continue an interrupted run from its last checkpoint, skipping finished stages"`

	Data       Data       `yaml:"data"`
	Model      Model      `yaml:"model"`
	Prompt     Prompt     `yaml:"prompt"`
	Train      Train      `yaml:"train" doc:"supervised stages: the base model, vanilla (all people), gold (retain set only)"`
	Unlearn    Unlearn    `yaml:"unlearn"`
	Eval       Eval       `yaml:"eval"`
	Checkpoint Checkpoint `yaml:"checkpoint"`
	Collective Collective `yaml:"collective"`
	Metrics    Metrics    `yaml:"metrics"`
}

// Data says which benchmark to use, or which one to build.
// With Dir empty the run builds a benchmark: of Profiles and Splits where they are given,
// else of People fictitious ones.
type Data struct {
	Dir         string `yaml:"dir" doc:"folder of an MLLMU-Bench layout; empty: one is built from the fields below into the run's folder"`
	Forget      string `yaml:"forget" doc:"name of the forget split"`
	Retain      string `yaml:"retain" doc:"name of the retain split; empty: the complement of forget (forget_10 → retain_90)"`
	Profiles    string `yaml:"profiles" doc:"profile texts (JSONL with ID and metadata) to build from; empty: fictitious people are drawn"`
	Splits      string `yaml:"splits" doc:"JSON of split name → list of IDs, for profiles"`
	People      int    `yaml:"people" doc:"fictitious people to draw" min:"2"`
	Celebrities int    `yaml:"celebrities" doc:"people the base model knows, outside forget and retain" min:"0"`
	Views       int    `yaml:"views" doc:"training portraits of each person; one more is drawn for the test set" min:"1"`
	ImageSize   int    `yaml:"image_size" doc:"pixels of a portrait's side" min:"16"`
	EvalPeople  int    `yaml:"eval_people" doc:"people of the retain and of the celebrity set that are evaluated; 0: all" min:"0"`
}

// Model says where the starting model comes from and what of it is stored.
type Model struct {
	Base    string `yaml:"base" doc:"Hugging Face folder to start from, or ORG/NAME[@REVISION] of a model on the hub; builtin:quickstart is the small model that ships with vgid, init:quickstart the same with random weights"`
	Vanilla string `yaml:"vanilla" doc:"folder of a model already fine-tuned on all people; empty: the run trains one"`
	Gold    string `yaml:"gold" doc:"folder of a retain-only model, the reference row; empty: the run trains one; none: no gold row"`
	DType   string `yaml:"dtype" doc:"element type of written weights" oneof:"float32,bfloat16,float16"`
	Weights string `yaml:"weights" doc:"element type of weights in memory while they are not trained; auto: bfloat16 where the files hold that, else float32, so that no value changes" oneof:"auto,float32,bfloat16"`
}

// ChatTemplate stands, as prompt.template, for the model's own.
const ChatTemplate = "chat"

// Prompt is the chat wrapper of both training and evaluation.
type Prompt struct {
	Template string `yaml:"template" doc:"turn with an image; {prompt} is the question, with an instruction prepended where there is one; chat: both turns are made by the chat template of the model's folder"`
	Text     string `yaml:"text" doc:"turn without an image"`
	Subject  string `yaml:"subject" doc:"what {subject} of an instruction stands for when there is an image; otherwise the person's name"`
}

// Optim is an optimizer and its schedule.
// The update is AdamW (arXiv 1711.05101); the schedule is counted in steps of the stage.
type Optim struct {
	LR          float64 `yaml:"lr" doc:"peak learning rate of AdamW" min:"0"`
	Schedule    string  `yaml:"schedule" doc:"shape of the learning rate after warm-up" oneof:"constant,linear,cosine"`
	Warmup      int     `yaml:"warmup" doc:"steps of linear warm-up" min:"0"`
	FinalLR     float64 `yaml:"final_lr" doc:"learning rate of the last step, as a fraction of lr" min:"0"`
	Beta1       float64 `yaml:"beta1" doc:"decay of the first moment" min:"0"`
	Beta2       float64 `yaml:"beta2" doc:"decay of the second moment" min:"0"`
	Eps         float64 `yaml:"eps" doc:"AdamW's epsilon" min:"0"`
	WeightDecay float64 `yaml:"weight_decay" doc:"decoupled weight decay" min:"0"`
	Clip        float64 `yaml:"clip" doc:"largest global gradient norm; 0: no clipping" min:"0"`
}

// LoRA describes low-rank adapters, with the options of PEFT's LoraConfig.
// R 0 means that there is no adapter, and the other fields have no effect.
type LoRA struct {
	R             int      `yaml:"r" doc:"rank; 0 trains the full weights instead" min:"0" max:"4096"`
	Alpha         float64  `yaml:"alpha" doc:"scale: the update is alpha/r times B·A"`
	Dropout       float64  `yaml:"dropout" doc:"dropout before A" min:"0"`
	Targets       []string `yaml:"targets" doc:"linear layers that get an adapter: the end of a path, * for any characters; all-linear for all but the head; re: and an expression that whole paths match; the full list is printed at start"`
	Exclude       []string `yaml:"exclude" doc:"layers left out, written as targets are"`
	RSLoRA        bool     `yaml:"rslora" doc:"scale by alpha/√r instead of alpha/r"`
	ModulesToSave []string `yaml:"modules_to_save" doc:"modules that are trained as a whole and saved with the adapter"`
	Bias          string   `yaml:"bias" doc:"whose biases are trained" oneof:"none,all,lora_only"`
}

// Trained says what of a model a stage trains. It is part of a stage's section, as
// are Questions and Memory: their fields stand among the section's own.
type Trained struct {
	LoRA    LoRA     `yaml:"lora"`
	Modules []string `yaml:"modules" doc:"weights trained when lora.r is 0: the end of a path, * for any characters; empty: all"`
}

// Questions says which kinds of samples a stage draws.
// Mix weighs tasks against each other; its weights need not sum to 1.
type Questions struct {
	TextOnly float64 `yaml:"text_only" doc:"fraction of samples without an image, where the data has such questions; -1: as the data has them" max:"1"`
	Mix      TaskMix `yaml:"mix"`
}

// Memory lowers the memory that a step takes, at the price of time.
type Memory struct {
	Accumulate int  `yaml:"accumulate" doc:"micro-batches that a worker's share of a step is split into, to save memory: their gradients add up to the same step" min:"1"`
	Recompute  bool `yaml:"recompute" doc:"compute activations again in the backward pass instead of keeping them, to save memory"`
}

// Train is a supervised stage.
type Train struct {
	Steps int   `yaml:"steps" doc:"optimizer steps" min:"0"`
	Batch int   `yaml:"batch" doc:"samples of a step over all workers" min:"1"`
	Optim Optim `yaml:"optim"`
	Trained
	Replay float64 `yaml:"replay" doc:"fraction of a batch drawn from what the base model learned before (people outside every set)" min:"0" max:"1"`
	Questions
	Balance bool `yaml:"balance" doc:"weigh an answer's tokens by 6/length, clipped to [0.5, 3], so that short answers count"`
	Memory
	Corpus Corpus `yaml:"corpus" doc:"the parts of the base corpus (stage base, and replay)"`
}

// TaskMix weighs the kinds of training questions.
type TaskMix struct {
	Generation     float64 `yaml:"generation" doc:"weight of generation questions" min:"0"`
	Cloze          float64 `yaml:"cloze" doc:"weight of cloze questions" min:"0"`
	Classification float64 `yaml:"classification" doc:"weight of classification questions" min:"0"`
}

// Corpus weighs the parts of the base corpus.
// The weights need not sum to 1; what they are of is package people's (Mix).
type Corpus struct {
	Describe    float64 `yaml:"describe" doc:"all attributes of a random face in a sentence" min:"0"`
	Attribute   float64 `yaml:"attribute" doc:"one attribute of a random face" min:"0"`
	Lookup      float64 `yaml:"lookup" doc:"which letter is … : multiple choice without an image" min:"0"`
	Celebrity   float64 `yaml:"celebrity" doc:"questions about people the base model knows" min:"0"`
	Instruction float64 `yaml:"instruction" doc:"the same under an unlearning instruction, answered by a guess" min:"0"`
}

// Noise is the visual half of VGID's intervention.
type Noise struct {
	Kind  string  `yaml:"kind" doc:"what the teacher sees instead of the image, in normalised pixel space"`
	Sigma float64 `yaml:"sigma" doc:"standard deviation of gaussian-add" min:"0"`
	Step  int     `yaml:"step" doc:"step of diffusion, 0 … 999 (the schedule of visual contrastive decoding)" min:"0" max:"999"`
	Patch int     `yaml:"patch" doc:"side of patch-mask's patches in pixels; 0: the model's own" min:"0"`
	Ratio float64 `yaml:"ratio" doc:"share of patches that patch-mask blanks" min:"0" max:"1"`
	Fixed bool    `yaml:"fixed" doc:"draw the noise of a picture once instead of at every step"`
}

// Instruction is the textual half of VGID's intervention.
type Instruction struct {
	File string `yaml:"file" doc:"templates, one a line, {subject} is replaced; empty: the built-in ones"`
	Use  string `yaml:"use" doc:"where the instruction is prepended to the teacher's question" oneof:"always,text-only,never"`
	Take int    `yaml:"take" doc:"how many templates of the file are used; 0: all" min:"0"`
}

// Unlearn is the unlearning stage.
// Alpha and Beta weigh means over the batch of all workers, per token or, where the method
// says so, per answer: neither the number of workers nor the batch changes what they mean.
type Unlearn struct {
	Method      string  `yaml:"method" doc:"unlearning method"`
	Preset      string  `yaml:"preset" doc:"paper: the published objective; release: what the authors' script does (uniform-replace, no instruction, all positions, forget and retain steps in turn)" oneof:"paper,release"`
	Steps       int     `yaml:"steps" doc:"optimizer steps (with alternate: pairs of steps)" min:"0"`
	BatchForget int     `yaml:"batch_forget" doc:"forget samples of a step over all workers" min:"1"`
	BatchRetain int     `yaml:"batch_retain" doc:"retain samples of a step over all workers" min:"0"`
	Alpha       float64 `yaml:"alpha" doc:"weight of the forget term" min:"0"`
	Beta        float64 `yaml:"beta" doc:"weight of the retain term" min:"0"`
	Temperature float64 `yaml:"temperature" doc:"temperature of both distributions; the loss is scaled by its square" min:"0.01"`
	Mask        string  `yaml:"mask" doc:"positions at which teacher and student are compared: the answer, question and answer, or all" oneof:"answer,text,all"`
	Responses   string  `yaml:"responses" doc:"answers that are teacher-forced on the forget set: the gold ones, or the teacher's own greedy ones (needs no annotation)" oneof:"gold,rollout"`
	Alternate   bool    `yaml:"alternate" doc:"a forget step and a retain step in turn instead of one step on the sum"`
	Outside     float64 `yaml:"outside" doc:"fraction of the retain batch drawn from people outside both sets" min:"0" max:"1"`
	Questions
	Balance     bool        `yaml:"balance" doc:"weigh an answer's tokens by 6/length, clipped to [0.5, 3]"`
	Noise       Noise       `yaml:"noise"`
	Instruction Instruction `yaml:"instruction"`
	Trained
	Optim Optim `yaml:"optim"`
	Memory
	Sections
}

// Eval is the evaluation protocol.
// The protocol that the doc tags speak of is that of MLLMU-Bench's released evaluation
// script (arXiv 2410.22108).
type Eval struct {
	Sets           []string `yaml:"sets" doc:"sets that are evaluated" each:"forget,test,retain,celebrity"`
	Modalities     []string `yaml:"modalities" doc:"questions with an image, by name only, or both" each:"image_text,text"`
	ShotsClass     int      `yaml:"shots_classification" doc:"people whose questions are shown before a classification question (protocol: 1)" min:"0"`
	ShotsCloze     int      `yaml:"shots_cloze" doc:"people whose questions are shown before a cloze question (protocol: 2)" min:"0"`
	Prompts        string   `yaml:"prompts" doc:"wording of the prompts: mllmu is the benchmark's own, short the quickstart's" oneof:"mllmu,short"`
	Classification string   `yaml:"classification" doc:"how an answer is read: its first letter (protocol), or the option it names" oneof:"letter,option"`
	Likelihood     bool     `yaml:"likelihood" doc:"also score classification by the likelihood of the options"`
	MaxNew         int      `yaml:"max_new" doc:"most tokens generated for an answer (protocol: 50)" min:"1"`
	BatchTokens    int      `yaml:"batch_tokens" doc:"most tokens in flight while generating" min:"64"`
}

// Checkpoint says when training state is written.
type Checkpoint struct {
	Every int `yaml:"every" doc:"steps between checkpoints; 0: only when the run is interrupted by a signal" min:"0"`
}

// Collective tunes the communication between workers.
// Bucket and Algorithm may change the last bits of a sum, as they decide the order of
// addition, and Wire changes more; so they are settings of a stage (Config.For), and Timeout is
// not. Algorithm and Wire came later: with their defaults, runs are what they were before.
type Collective struct {
	Timeout   time.Duration `yaml:"timeout" doc:"longest wait for another worker in one operation"`
	Transport string        `yaml:"transport" doc:"how workers reach each other: auto, through shared memory where they run on one Linux machine, else as grpc; grpc, by an endpoint of our own, which is as fast as the sockets; grpc-stock, by grpc-go's; workers may differ in it, and no result depends on it" oneof:"auto,grpc,grpc-stock" digest:"none"`
	TLS       TLS           `yaml:"tls" digest:"none"`
	Algorithm string        `yaml:"algorithm" doc:"how workers combine what they have: auto, by length, number of workers and machines; ring, of fewest bytes; doubling, of fewest steps; rabenseifner, of few of both; hierarchical, within machines and then between them; the last bits of sums depend on it" oneof:"auto,ring,doubling,rabenseifner,hierarchical" digest:"none"`
	Wire      string        `yaml:"wire" doc:"how gradients travel that are summed: float32, as they are; bfloat16, rounded to half the bytes, where the network is the limit; they are added in float32" oneof:"float32,bfloat16" digest:"none"`
	Bucket    int           `yaml:"bucket_kib" doc:"gradients are reduced in buckets of this many KiB, while backward goes on" min:"4"`
	Zero      int           `yaml:"zero" doc:"1: each worker keeps the optimizer's moments of its part of what is trained, and updates that (ZeRO stage 1), which saves memory and costs waiting; 0: each keeps all; no result depends on it" min:"0" max:"1" digest:"none"`
}

// TLS says where a worker finds what it proves itself with: PEM files, which may differ from
// machine to machine. No result depends on them.
type TLS struct {
	CA   string `yaml:"ca" doc:"file with the certificate of the job's CA; with cert and key, workers encrypt what they send and know each other by certificates (mutual TLS); empty: what the launcher gives (VGID_TLS_CA, VGID_TLS_CERT, VGID_TLS_KEY), else plain text" digest:"none"`
	Cert string `yaml:"cert" doc:"file with this worker's certificate, issued by that CA" digest:"none"`
	Key  string `yaml:"key" doc:"file with the private key of that certificate" digest:"none"`
}

// Metrics says where Prometheus finds each worker.
type Metrics struct {
	Addr            string `yaml:"addr" doc:"host:port of /metrics; without a host, where the other workers reach this one (alone: 127.0.0.1); worker r of a machine takes port + r; port 0 takes a free one; listed in OUT/metrics/NAME.json while the run is at work; empty: off"`
	InsecureNetwork bool   `yaml:"insecure_network" doc:"permit addresses of metrics other than loopback, although nothing is encrypted; what --insecure-network of vgid-launch permits needs no word here"`
}
