/* What the doubles of NVIDIA's libraries answer: `key value` lines of the file that
 * JAXPAD_TEST_SCENARIO names.
 *
 * A value is text, a whole number, `!15` (an NVML or CUDA error code), `100 +650/s` (a counter
 * that grows since the library was started), or that with ` wrap 32` (bits) behind it.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 1 << 16 };

typedef struct {
    char *key;
    char *text;
} entry;

static entry table[SLOTS];
static double started;

static inline double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline unsigned slot_of(const char *key)
{
    unsigned hash = 2166136261u; /* FNV-1a */
    for (const char *at = key; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    hash %= SLOTS;
    while (table[hash].key && strcmp(table[hash].key, key) != 0)
        hash = (hash + 1) % SLOTS;
    return hash;
}

static inline const char *text_of(const char *key)
{
    return table[slot_of(key)].text;
}

static inline void load_scenario(void)
{
    char line[4096];
    if (started > 0)
        return;
    started = seconds_now();
    const char *path = getenv("JAXPAD_TEST_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file)) {
        char *space = strchr(line, ' ');
        line[strcspn(line, "\n")] = 0;
        if (!space)
            continue;
        *space = 0;
        entry *free_slot = &table[slot_of(line)];
        free_slot->key = strdup(line);
        free_slot->text = strdup(space + 1);
    }
    if (file)
        fclose(file);
}

static inline int is_error(const char *text)
{
    return text[0] == '!';
}

/* The number in force now. */
static inline unsigned long long number_in(const char *text)
{
    char *rest;
    unsigned long long number = strtoull(text, &rest, 10);
    char *wrap = strstr(rest, "wrap ");
    if (rest[0] == ' ' && rest[1] == '+')
        number += (unsigned long long)(strtod(rest + 2, NULL) * (seconds_now() - started));
    if (wrap)
        number &= (1ull << strtoul(wrap + 5, NULL, 10)) - 1;
    return number;
}

#endif
