// Data sets: sequences of elements that are made while they are consumed.
#pragma once

#include "etch/data/dataset.h"
