package config

// Spelling is how a user gives a setting, by its dotted path, a value: as a flag, where
// a program takes flags. value is empty where none is named, as of a setting that is
// true or false. Messages that advise another setting have it from whoever words them.
type Spelling func(path, value string) string

// Plain is the spelling without flags.
func Plain(path, value string) string {
	if value == "" {
		return path
	}
	return path + " " + value
}
