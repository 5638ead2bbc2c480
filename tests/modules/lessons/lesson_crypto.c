// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 11: digests by both interfaces, a keyed one, and AES there and back. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/hash.h>
#include <crypto/skcipher.h>
#include <linux/crypto.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *text = "the quick brown fox";
module_param(text, charp, 0444);
MODULE_PARM_DESC(text, "what is digested");

#define PLAIN_SIZE 48

static int digest_at_once(void)
{
	struct crypto_shash *hash = crypto_alloc_shash("sha256", 0, 0);
	u8 result[32];
	int err;

	if (IS_ERR(hash))
		return PTR_ERR(hash);
	err = crypto_shash_tfm_digest(hash, text, strlen(text), result);
	pr_info("%u bytes: %*phN\n", crypto_shash_digestsize(hash), (int)sizeof(result), result);
	crypto_free_shash(hash);
	return err;
}

static int digest_in_pieces(const char *name, const char *key)
{
	struct crypto_shash *hash = crypto_alloc_shash(name, 0, 0);
	struct shash_desc *desc;
	u8 result[64];
	size_t half = strlen(text) / 2;
	int err;

	if (IS_ERR(hash))
		return PTR_ERR(hash);
	desc = kzalloc(sizeof(*desc) + crypto_shash_descsize(hash), GFP_KERNEL);
	if (!desc) {
		crypto_free_shash(hash);
		return -ENOMEM;
	}
	desc->tfm = hash;
	if (key)
		pr_info("%s without a key: %d\n", name, crypto_shash_init(desc));
	err = key ? crypto_shash_setkey(hash, key, strlen(key)) : 0;
	err = err ?: crypto_shash_init(desc);
	err = err ?: crypto_shash_update(desc, text, half);
	err = err ?: crypto_shash_update(desc, text + half, strlen(text) - half);
	err = err ?: crypto_shash_final(desc, result);
	if (!err)
		pr_info("%s: %*phN\n", name, (int)crypto_shash_digestsize(hash), result);
	kfree_sensitive(desc);
	crypto_free_shash(hash);
	return err;
}

static int digest_asynchronously(void)
{
	struct crypto_ahash *hash = crypto_alloc_ahash("sha256", 0, 0);
	struct ahash_request *request;
	struct scatterlist pieces[2];
	DECLARE_CRYPTO_WAIT(wait);
	u8 *data, result[32];
	int err = -ENOMEM;

	if (IS_ERR(hash))
		return PTR_ERR(hash);
	data = kmemdup(text, strlen(text), GFP_KERNEL);
	request = ahash_request_alloc(hash, GFP_KERNEL);
	if (!data || !request)
		goto out;
	ahash_request_set_callback(request, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done, &wait);
	sg_init_table(pieces, 2);
	sg_set_buf(&pieces[0], data, 4);
	sg_set_buf(&pieces[1], data + 4, strlen(text) - 4);
	ahash_request_set_crypt(request, pieces, result, strlen(text));
	err = crypto_wait_req(crypto_ahash_digest(request), &wait);
	if (!err)
		pr_info("asynchronously: %*phN\n", (int)sizeof(result), result);
out:
	ahash_request_free(request);
	kfree(data);
	crypto_free_ahash(hash);
	return err;
}

static int encrypt_and_back(const char *name, unsigned int key_size)
{
	struct crypto_skcipher *cipher = crypto_alloc_skcipher(name, 0, 0);
	struct skcipher_request *request;
	struct scatterlist piece;
	DECLARE_CRYPTO_WAIT(wait);
	u8 key[32], iv[16], *data;
	unsigned int number;
	int err = -ENOMEM, no_key, bad_key;

	if (IS_ERR(cipher))
		return PTR_ERR(cipher);
	data = kmalloc(PLAIN_SIZE, GFP_KERNEL);
	request = skcipher_request_alloc(cipher, GFP_KERNEL);
	if (!data || !request)
		goto out;
	for (number = 0; number < sizeof(key); number++)
		key[number] = number;
	memset(iv, 0x11, sizeof(iv));
	memset(data, 'x', PLAIN_SIZE);
	sg_init_one(&piece, data, PLAIN_SIZE);
	skcipher_request_set_callback(request, CRYPTO_TFM_REQ_MAY_SLEEP, crypto_req_done, &wait);
	skcipher_request_set_crypt(request, &piece, &piece, PLAIN_SIZE, iv);
	no_key = crypto_skcipher_encrypt(request);
	bad_key = crypto_skcipher_setkey(cipher, key, 5);
	pr_info("%s: iv of %u, blocks of %u, without a key %d, with a key of 5: %d\n", name,
		crypto_skcipher_ivsize(cipher), crypto_skcipher_blocksize(cipher), no_key, bad_key);
	err = crypto_skcipher_setkey(cipher, key, key_size);
	err = err ?: crypto_wait_req(crypto_skcipher_encrypt(request), &wait);
	if (err)
		goto out;
	pr_info("%u bits: %*phN\n", 8 * key_size, PLAIN_SIZE, data);
	pr_info("iv: %*phN\n", (int)sizeof(iv), iv);
	memset(iv, 0x11, sizeof(iv));
	err = crypto_wait_req(crypto_skcipher_decrypt(request), &wait);
	pr_info("back: %.*s\n", PLAIN_SIZE, data);
	skcipher_request_set_crypt(request, &piece, &piece, 17, iv);
	pr_info("17 bytes: %d\n", crypto_skcipher_encrypt(request));
out:
	skcipher_request_free(request);
	kfree_sensitive(data);
	crypto_free_skcipher(cipher);
	return err;
}

static int __init crypto_lesson_init(void)
{
	int err;

	err = digest_at_once();
	err = err ?: digest_in_pieces("sha256", NULL);
	err = err ?: digest_in_pieces("sha1", NULL);
	err = err ?: digest_in_pieces("hmac(sha256)", "secret");
	err = err ?: digest_asynchronously();
	err = err ?: encrypt_and_back("cbc(aes)", 32);
	err = err ?: encrypt_and_back("cbc(aes)", 16);
	return err;
}

static void __exit crypto_lesson_exit(void)
{
}

module_init(crypto_lesson_init);
module_exit(crypto_lesson_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 11: digests and ciphers");
