package model

import "vgid/model/backend"

type kvCache struct{ keys, values []backend.Tensor }
