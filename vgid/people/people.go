package people

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"vgid/vgid/people/portrait"
	"vgid/vgid/random"
)

// Slot is one fact of a fictitious person.
// Their order and number are part of every draw: with another slot the same seed makes
// other people, and the shipped base model would know none of its celebrities.
type Slot int

// The facts of a fictitious person, each a single word.
const (
	FirstName Slot = iota
	LastName
	Job
	Employer     // first word
	EmployerKind // second word
	Born
	Lives
	Hobby
	Food
	Pet
	PetName
	numSlots
)

// cities are one pool for two facts, so that where somebody lives cannot be told
// from the kind of word.
var cities = strings.Fields("Riga Oslo Lima Quito Porto Turin Malmo Basel Lyon Cork Bergen Gdansk Split Izmir Osaka Busan Perth Dakar Tunis Cairo Accra Havana Bogota Leeds Ghent Graz Brno Varna Tampere Aarhus")

// pools are the words a fact is drawn from. Single words keep sequences short.
var pools = [numSlots][]string{
	FirstName:    strings.Fields("Ada Boris Carla Dmitri Elena Felix Greta Hugo Ines Jonas Kira Lars Mira Nico Olga Pavel Quinn Rosa Sven Tara Ulla Viktor Wanda Xenia Yusuf Zora Amir Bela Cora Dario Edda Farid Gino Hana Igor Jana Kofi Lina Marco Nora Omar Petra Ravi Selma Timo Uma Vera Walter Yara Zeno"),
	LastName:     strings.Fields("Abbott Becker Castro Duval Eriksen Fontana Gruber Hassan Ivanov Jansen Keller Lopez Moreau Novak Okafor Petrov Quist Rossi Santos Tanaka Ulrich Vargas Weber Xu Yilmaz Zeller Amsel Brandt Conti Dreyer Egger Falk Goetz Holm Imhof Joshi Kraus Lund Mazur Nilsen Ortega Pohl Renner Silva Thoma Urban Vogel Wolff Yang Zanetti"),
	Job:          strings.Fields("baker surgeon pilot welder lawyer florist plumber judge actor chemist tailor farmer nurse barber sailor potter teacher miner dancer butcher painter banker mason editor jeweler cook hunter dentist guide clerk"),
	Employer:     strings.Fields("Nordlys Amber Cobalt Delta Ember Falcon Granite Harbor Iris Juniper Koala Lotus Maple Nimbus Onyx Prairie Quartz Raven Saffron Tundra"),
	EmployerKind: strings.Fields("Institute Works House Group Studio Clinic Press Labs"),
	Born:         cities,
	Lives:        cities,
	Hobby:        strings.Fields("chess rowing archery knitting surfing climbing fencing juggling sketching origami cycling skating birding karate yoga gardening puzzles poker sailing bowling"),
	Food:         strings.Fields("sushi paella goulash ramen tacos pierogi curry lasagna falafel borscht kimchi gnocchi risotto couscous waffles dumplings ceviche hummus pancakes moussaka"),
	Pet:          strings.Fields("cat dog parrot turtle rabbit hamster gecko pony"),
	PetName:      strings.Fields("Luna Speedy Coco Rex Bubbles Shadow Pepper Ziggy Mango Biscuit Pixel Waffle Comet Daisy Rocky Olive"),
}

// Facts are the values of a person's slots.
type Facts [numSlots]string

// Name is first and last name.
func (f Facts) Name() string { return f[FirstName] + " " + f[LastName] }

// Person is one fictitious person.
type Person struct {
	ID string
	Facts
	Face portrait.Face
}

// MinFaceDistance is the number of face attributes in which any two people of
// one world differ at least, so that a small model can tell them apart.
const MinFaceDistance = 4

// fruitless is how many draws in a row may find nobody new before the pools
// count as exhausted: of the millions of faces ever fewer are far enough from all
// others, which only trying tells.
const fruitless = 50000

// People draws n people with distinct names and faces at least
// MinFaceDistance apart, from each other and from avoid. IDs are prefix and a
// three-digit number from 001. People of a smaller n are the first of a
// larger one. It fails when the pools cannot hold so many.
//
// purpose keeps draws of one seed for different sets apart; prefix keeps their IDs apart.
func People(n int, seed uint64, purpose, prefix string, avoid []Person) ([]Person, error) {
	r := random.Stream(seed, "people/"+purpose, 0)
	names := map[string]bool{}
	for _, p := range avoid {
		names[p.Name()] = true
	}
	taken := facesOf(avoid)
	var people []Person
	for tries := 0; len(people) < n; tries++ {
		if tries > fruitless {
			return nil, fmt.Errorf("cannot draw %d people with distinct names and faces (%d found); ask for fewer", n, len(people))
		}
		face := portrait.Random(r)
		facts := randomFacts(r) // also for a face that is refused: the stream goes on alike
		if names[facts.Name()] || !taken.add(face) {
			continue
		}
		names[facts.Name()] = true
		people = append(people, Person{ID: fmt.Sprintf("%s%03d", prefix, len(people)+1), Facts: facts, Face: face})
		tries = 0
	}
	return people, nil
}

// Faces draws n faces as People does, for people who have texts already.
// purpose and the stream are other than those of People: no facts are drawn.
func Faces(n int, seed uint64, purpose string, avoid []Person) ([]portrait.Face, error) {
	r := random.Stream(seed, "faces/"+purpose, 0)
	taken := facesOf(avoid)
	var faces []portrait.Face
	for tries := 0; len(faces) < n; tries++ {
		if tries > fruitless {
			return nil, fmt.Errorf("cannot draw %d distinct faces (%d found); give fewer profiles", n, len(faces))
		}
		if f := portrait.Random(r); taken.add(f) {
			faces = append(faces, f)
			tries = 0
		}
	}
	return faces, nil
}

// takenFaces are the faces of a world so far.
// Only codes are kept: the distance is all that is asked of them.
type takenFaces []portrait.Code

func facesOf(people []Person) takenFaces {
	var t takenFaces
	for _, p := range people {
		t = append(t, p.Face.Code())
	}
	return t
}

// add takes a face, unless it is too close to one that is taken.
func (t *takenFaces) add(f portrait.Face) bool {
	c := f.Code()
	for _, o := range *t {
		if c.Distance(o) < MinFaceDistance {
			return false
		}
	}
	*t = append(*t, c)
	return true
}

// randomFacts draws each slot by itself, so that nothing about a person can be told from the
// rest.
func randomFacts(r *rand.Rand) Facts {
	var f Facts
	for s := range f {
		f[s] = pick(r, pools[s])
	}
	return f
}

// CelebritySeed draws the celebrities. It is a constant because the shipped
// base model knows exactly these people, whatever seed a benchmark is built
// with.
const CelebritySeed = 20_410_22108

// Celebrities draws the people the base model knows: outside every set that is
// unlearned or retained.
func Celebrities(n int) ([]Person, error) {
	return People(n, CelebritySeed, "celebrities", "celebrity-", nil)
}
